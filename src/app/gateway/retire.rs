//! `ingest-node gateway --retire`: ends the session at the MQTT broker for good, when nothing is left in it.

use std::sync::Arc;

use slog::{Logger, info, o};

use crate::app::reload::Reloads;
use crate::config::Config;
use crate::gateway::{StreamPublisher, Streams, mqtt};
use crate::metrics::Metrics;
use crate::nats::connect::{Observers, connect};
use crate::runtime::exit::Exit;
use crate::runtime::signals::Signals;

/// Takes what the broker still has for the session, and has the broker forget it.
///
/// # Errors
/// The exit code and a sentence, where the session is still there.
pub(crate) async fn run(config: Config, _: Reloads, log: Logger, mut signals: Signals) -> Result<(), (Exit, String)> {
    if config.mqtt.host.is_none() {
        return Err((Exit::Config, "MQTT_HOST is not set: there is no session to retire".to_owned()));
    }
    tokio::select! {
        retired = retire(config, log) => retired,
        () = signals.stop() => Err((Exit::Unfinished, "stopped before the session was retired".to_owned())),
    }
}

async fn retire(config: Config, log: Logger) -> Result<(), (Exit, String)> {
    let nats_log = log.new(o!("component" => "nats", "connection" => "gateway"));
    let connected = connect(&config.nats, "gateway", Observers::default(), &nats_log).await;
    let client = connected.map_err(|failure| (failure.exit(), failure.to_string()))?;
    let id = config.mqtt.client_id.clone();
    let link = mqtt::BrokerLink {
        publish_timeout: config.gateway.publish_timeout(),
        publisher: StreamPublisher::new(&config.gateway, client.clone(), &Metrics::new()),
        client,
        config: config.mqtt,
        streams: Arc::new(Streams::taking()),
    };
    let retired = mqtt::retire(link, log.new(o!("component" => "mqtt"))).await;
    let was_known = retired.map_err(|error| (Exit::Unavailable, error.to_string()))?;
    info!(log, "mqtt session retired"; "client_id" => id, "was_known" => was_known);
    Ok(())
}
