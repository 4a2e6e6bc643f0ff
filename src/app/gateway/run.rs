//! The gateway's story: from its connections to its drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slog::{Logger, info, o};

use super::tree::{self, Ingredients};
use crate::app::reload::{self, Reloads};
use crate::app::supervise::supervise;
use crate::config::Config;
use crate::gateway::Publisher;
use crate::http;
use crate::metrics::Metrics;
use crate::nats::connect::{Observers, connect};
use crate::nats::permissions::Permissions;
use crate::runtime::exit::Exit;
use crate::runtime::log_queue;
use crate::runtime::readiness::{Condition, Readiness};
use crate::runtime::signals::Signals;
use crate::runtime::stats::Stats;
use crate::supervisor::environment::Environment;

/// What must hold before the gateway is ready.
fn conditions(config: &Config) -> Vec<Condition> {
    let mut conditions = vec![Condition::Nats, Condition::Streams, Condition::Tree];
    conditions.extend(config.mqtt.host.is_some().then_some(Condition::Mqtt));
    conditions
}

/// Runs the gateway until a shutdown signal, or until the restart budget is spent.
///
/// # Errors
/// The exit code and a sentence, where it could not start or did not end drained.
pub(crate) async fn run(
    config: Config,
    reloads: Reloads,
    log: Logger,
    mut signals: Signals,
) -> Result<(), (Exit, String)> {
    actix_rt::spawn(reload::run(config.clone(), reloads, log.clone()));
    let (readiness, metrics, stats) = (Readiness::of_gateway(&conditions(&config)), Metrics::new(), Stats::new());
    let shown = readiness.clone();
    metrics.health.read_from(move || shown.health());
    metrics.log_lines_dropped.read_from(log_queue::dropped);
    let (address, server) = match http::start(&config.http, readiness.clone(), metrics.clone(), stats) {
        Ok(started) => started,
        Err(why) => return Err((Exit::Config, why.to_string())),
    };
    info!(log, "listening"; "http" => %address);

    let nats_log = log.new(o!("component" => "nats", "connection" => "gateway"));
    let observers =
        Observers { readiness: Some(readiness.clone()), permissions: Some(Permissions::new(metrics.clone())) };
    let connected = tokio::select! {
        connected = connect(&config.nats, "gateway", observers, &nats_log) => connected.map(Some),
        () = signals.stop() => {
            info!(log, "shutdown signal while starting");
            Ok(None)
        }
    };
    let ended = match connected {
        Ok(Some(client)) => {
            let shown = client.clone();
            metrics
                .nats
                .reconnects
                .read_from(move || shown.statistics().connects.load(Ordering::Relaxed).saturating_sub(1));
            info!(log, "dependencies connected");
            let supervisor = config.supervisor.clone();
            let publisher = Publisher::new(&config.gateway, client.clone(), &metrics);
            let ingredients = Ingredients { config, client, publisher, takes: Arc::default() };
            let environment = Environment { log, metrics, readiness };
            supervise(supervisor, tree::factories(Arc::new(ingredients)), environment, signals, async || ()).await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err((failure.exit(), failure.to_string())),
    };
    server.stop(false).await;
    ended
}
