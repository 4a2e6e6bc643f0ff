//! The MQTT broker: whether it answers, lets the gateway in, keeps a session, grants the subscription, and has dropped messages.

use std::time::Duration;

use rumqttc::{Event, Incoming, QoS};
use tokio::time::{Instant, timeout_at};

use super::deadline::Deadline;
use super::result::CheckResult;
use crate::gateway::mqtt::{Config, ConnectError, Connection, granted, open};

/// What a result about the connection is about.
const ABOUT: &str = "mqtt";

/// How long the broker's own figures are waited for: they are retained, and come with the subscription.
const FIGURES_WITHIN: Duration = Duration::from_secs(2);

/// The broker's own figures, as Mosquitto and EMQX name them.
const VERSION: &str = "$SYS/broker/version";
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

/// The results about the broker; none where none is configured.
pub(super) async fn check(config: &Config, deadline: Deadline) -> Vec<CheckResult> {
    if config.host.is_none() {
        return Vec::new();
    }
    let looked = deadline.of(ABOUT, look(config)).await;
    looked.unwrap_or_else(Err).unwrap_or_else(|result| vec![result])
}

async fn look(config: &Config) -> Result<Vec<CheckResult>, CheckResult> {
    let session = session(config).await?;
    let (subscription, figures) = subscribe(config, connect(config, true).await?).await;
    let version = figures.version.map_or_else(String::new, |version| format!(", {version}"));
    let found =
        format!("{}:{} lets the gateway in{version}", config.host.as_deref().unwrap_or_default(), config.port());
    // Over MQTT nobody learns them.
    let unknown = "can't be asked: whether sessions outlive a restart of the broker (persistence), when they expire, and its bounds on \
                   queues and messages; docs/ways-in/mqtt.md says what they should be";
    let mut results =
        vec![CheckResult::ok(ABOUT, found), session, subscription, CheckResult::ok("mqtt settings", unknown)];
    results.extend(figures.dropped.filter(|count| *count > 0).map(|count| {
        let found = format!("the broker has dropped {count} messages since its start, those of other subscribers included");
        let advice = "give its queues no bound or a larger one (Mosquitto: max_queued_messages 0, max_queued_bytes 0), and let \
                      sessions that nobody uses expire (persistent_client_expiration)";
        CheckResult::warn("mqtt queues", found, advice)
    }));
    Ok(results)
}

/// A session of the check's own is left and taken up again: that of the gateway, and its messages, are not touched.
async fn session(config: &Config) -> Result<CheckResult, CheckResult> {
    const ABOUT: &str = "mqtt session";
    connect(config, false).await?.close().await;
    let again = connect(config, false).await?;
    let is_kept = again.session_present;
    again.close().await;
    Ok(match is_kept {
        true => CheckResult::ok(ABOUT, "the broker keeps a session whose client is away"),
        false => CheckResult::err(
            ABOUT,
            "the broker forgets a session as soon as its client is away, and with it what devices publish meanwhile",
            "let it keep persistent sessions (clean session 0), with an expiry longer than the longest outage",
        ),
    })
}

async fn connect(config: &Config, clean_session: bool) -> Result<Connection, CheckResult> {
    let id: String = format!("doctor-{}", config.client_id).chars().take(128).collect();
    open(config, &id, clean_session, Duration::from_secs(60)).await.map_err(|error| match &error {
        ConnectError::Settings(_) => CheckResult::err(ABOUT, error.to_string(), "correct the setting"),
        ConnectError::LogIn(_) => {
            CheckResult::away(ABOUT, error.to_string(), "check MQTT_USERNAME and MQTT_PASSWORD, and the broker's users")
        }
        ConnectError::Refused(_) => CheckResult::away(ABOUT, error.to_string(), "look at the broker's log"),
        ConnectError::Away(_) => CheckResult::away(
            ABOUT,
            format!("no connection: {error}"),
            "check MQTT_HOST and MQTT_PORT, that the broker runs, and MQTT_CA_FILE where it demands TLS",
        ),
    })
}

/// What the broker says of itself; empty where it says nothing.
#[derive(Default)]
struct Figures {
    version: Option<String>,
    dropped: Option<u64>,
}

/// Asks for what the gateway asks for, without its group (a member of the group would take messages from the others), and for
/// the broker's figures. What arrives meanwhile is not acknowledged and not missed: the session ends with the connection.
async fn subscribe(config: &Config, mut connection: Connection) -> (CheckResult, Figures) {
    const ABOUT: &str = "mqtt subscription";
    let Connection { client, events, .. } = &mut connection;
    let mut answer = None;
    let mut figures = Figures::default();
    let until = Instant::now() + FIGURES_WITHIN;
    let asked = [(config.topic.as_str(), QoS::AtLeastOnce), (VERSION, QoS::AtMostOnce), (DROPPED, QoS::AtMostOnce)];
    let is_asked = asked.into_iter().all(|(filter, qos)| client.try_subscribe(filter, qos).is_ok());
    while is_asked && (answer.is_none() || figures.version.is_none() || figures.dropped.is_none()) {
        match timeout_at(until, events.poll()).await {
            Ok(Ok(Event::Incoming(Incoming::SubAck(said)))) => {
                answer.get_or_insert_with(|| granted(&said));
            }
            Ok(Ok(Event::Incoming(Incoming::Publish(message)))) => {
                let text = || String::from_utf8_lossy(&message.payload).into_owned();
                match message.topic.as_str() {
                    VERSION => figures.version = Some(text()),
                    DROPPED => figures.dropped = text().trim().parse().ok(),
                    _ => {}
                }
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    connection.close().await;
    let result = match answer {
        Some(Ok(())) => CheckResult::ok(ABOUT, format!("QoS 1 is granted for {}", config.topic)),
        Some(Err(said)) => {
            let advice =
                "give the gateway's user the right to read that filter, and the broker at least QoS 1 (docs/rights.md)";
            CheckResult::err(ABOUT, format!("{}: {said}", config.topic), advice)
        }
        None => CheckResult::err(
            ABOUT,
            format!("{}: the broker does not answer the subscription", config.topic),
            "look at the broker's log: some close the connection of a client that asks for more than it may",
        ),
    };
    (result, figures)
}
