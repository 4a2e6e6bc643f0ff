//! Permissions, by trying: each operation of the node in a form that the server must refuse for another reason, so that nothing
//! is taken, settled, stored or made. What is not permitted comes back as an error of the connection.

use std::time::Duration;

use async_nats::{HeaderMap, header};
use ingest_core::flow::permission::{Operation, read};

use super::Session;
use crate::app::preflight::result::{CheckResult, Level};
use crate::config::Config;
use crate::delivery::Owner;
use crate::nats::account::account;
use crate::sink::routes::stream;
use crate::sink::state::silence;

/// What these results are about.
const ABOUT: &str = "nats permissions";

/// The server sends its errors before the answer to what came later; the client hands them over by a task of its own.
const HANDED_OVER: Duration = Duration::from_millis(200);

/// No JSON: such a request to the API, or to a consumer, is refused before anything is done.
const NO_JSON: &str = "{";

/// No acknowledgement: the server ignores it.
const NO_ACK: &str = "?";

/// What is tried, and what a violation is called.
struct Probe {
    subject: String,
    level: Level,
    without: &'static str,
}

/// Tries everything that the node will do.
pub(super) async fn check(config: &Config, session: &Session) -> Vec<CheckResult> {
    let probes = probes(config);
    for probe in &probes {
        // An error here is one of the connection, which the next question shows.
        let _ = send(session, &probe.subject).await;
    }
    // A round trip: all violations have arrived by then. Where even the inbox is denied it ends with its bound.
    let _ = account(&session.context).await;
    tokio::time::sleep(HANDED_OVER).await;
    assess(&probes, &session.permissions.subjects())
}

async fn send(session: &Session, subject: &str) -> Result<(), async_nats::PublishError> {
    let client = &session.client;
    if subject.starts_with("$JS.ACK.") {
        client.publish(subject.to_owned(), NO_ACK.into()).await
    } else if subject.starts_with('$') {
        client.publish(subject.to_owned(), NO_JSON.into()).await
    } else {
        let mut headers = HeaderMap::new();
        // Of no stream: whichever one takes this subject refuses it.
        headers.insert(header::NATS_EXPECTED_STREAM, "ingest-node-doctor");
        client.publish_with_headers(subject.to_owned(), headers, "".into()).await
    }
}

fn probes(config: &Config) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut probe = |level, subject: String, without| probes.push(Probe { subject, level, without });
    for lane in config.nats.lanes().iter() {
        let (stream, consumer) = (lane.stream(), lane.consumer());
        probe(Level::Err, format!("$JS.API.STREAM.INFO.{stream}"), "the lane can't be found");
        probe(Level::Err, format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"), "the lane can't be found");
        probe(Level::Err, format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"), "no message can be fetched");
        probe(
            Level::Err,
            format!("$JS.ACK.{stream}.{consumer}.0.0.0.0.0"),
            "no message can be acknowledged, so that all come again",
        );
        probe(
            Level::Warn,
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            "the age of the oldest message is not known: /lag and the metrics leave it out",
        );
        if config.nats.create && lane.owner() == Owner::Node {
            probe(Level::Warn, format!("$JS.API.STREAM.CREATE.{stream}"), "a missing stream can't be made");
        }
        if config.nats.create {
            probe(
                Level::Warn,
                format!("$JS.API.CONSUMER.CREATE.{stream}.{consumer}"),
                "a missing consumer can't be made",
            );
        }
    }
    if config.nats.create {
        probe(
            Level::Warn,
            format!("$JS.API.STREAM.CREATE.{}", stream::STREAM),
            "a missing stream of route jobs can't be made",
        );
    }
    if config.state.silence.enabled {
        let stream = silence::STREAM;
        let without = "nobody is told of devices that fall silent";
        probe(Level::Warn, format!("$JS.API.STREAM.INFO.{stream}"), without);
        probe(Level::Warn, "alerts.ingest-node-doctor".to_owned(), without);
        if config.nats.create {
            probe(Level::Warn, format!("$JS.API.STREAM.CREATE.{stream}"), "a missing stream of alerts can't be made");
        }
    }
    probe(
        Level::Err,
        "routes.ingest-node-doctor".to_owned(),
        "route jobs can't be published, and their messages come again",
    );
    probes
}

fn assess(probes: &[Probe], denied: &[String]) -> Vec<CheckResult> {
    let mut results = Vec::new();
    if denied.iter().any(|subject| is_inbox(subject)) {
        results.push(CheckResult::err(
            ABOUT,
            "subscribing to _INBOX.> is denied: no answer and no message reaches the node",
            "permit the node's user to subscribe to _INBOX.>",
        ));
    }
    results.extend(probes.iter().filter(|probe| denied.contains(&reported(&probe.subject))).map(|probe| {
        let (found, advice) = (
            format!("publishing to {} is denied: {}", reported(&probe.subject), probe.without),
            format!("permit the node's user to publish to {}", reported(&probe.subject)),
        );
        match probe.level {
            Level::Warn => CheckResult::warn(ABOUT, found, advice),
            _ => CheckResult::err(ABOUT, found, advice),
        }
    }));
    if results.is_empty() {
        results.push(CheckResult::ok(ABOUT, "pull, acknowledge, publish and create are permitted"));
    }
    results
}

/// A subject as violations are remembered by it.
fn reported(subject: &str) -> String {
    let violation = read(&format!("Permissions Violation for Publish to \"{subject}\""));
    violation.map_or_else(|| subject.to_owned(), |violation| violation.subject)
}

fn is_inbox(subject: &str) -> bool {
    read(&format!("Permissions Violation for Subscription to \"{subject}\""))
        .is_some_and(|violation| violation.operation == Operation::Inbox)
        && subject.starts_with("_INBOX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_denied_subject_is_a_result_of_its_own() {
        let probes = probes(&Config::default());
        let denied = ["$JS.ACK.TELEMETRY.ingest-workers.>", "routes.>", "_INBOX.>", "$JS.API.STREAM.CREATE.SHADOW"];
        let found = assess(&probes, &denied.map(str::to_owned));
        assert_eq!(found.len(), denied.len(), "{found:?}");
        assert_eq!(found.iter().filter(|result| result.level == Level::Err).count(), 3, "{found:?}");
        let found = assess(&probes, &[]);
        assert!(found.len() == 1 && found[0].level == Level::Ok, "{found:?}");
    }

    #[test]
    fn a_node_that_creates_nothing_needs_no_right_to_it() {
        let mut config = Config::default();
        config.nats.create = false;
        assert!(!probes(&config).iter().any(|probe| probe.subject.contains("CREATE")));
    }
}
