//! `ingest-node run`: connects the dependencies, builds the actor tree, runs it, and drains it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use slog::{Logger, info, warn};

use super::admin;
use super::dependencies::connect_all;
use super::probes;
use super::reload::{self, Reloads};
use super::supervise::supervise;
use super::tree::{self, Ingredients};
use crate::app::preflight::capacity;
use crate::config::Config;
use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::observe::Sources;
use crate::observe::tap::Taps;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::failpoint;
use crate::runtime::instances::Instances;
use crate::runtime::readiness::Readiness;
use crate::runtime::signals::Signals;
use crate::runtime::stats::Stats;
use crate::supervisor::environment::Environment;

/// Runs the node until a shutdown signal, or until the restart budget is spent.
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
    let lanes = config.nats.lanes();
    let (readiness, metrics, stats) = (Readiness::of(lanes), Metrics::of(lanes), Stats::new());
    let server = probes::serve(&config, &readiness, &metrics, &stats, &log)?;
    let instances = Arc::<Instances>::default();
    let observed = Sources { metrics: metrics.clone(), readiness: readiness.clone(), instances: instances.clone() };
    let taps = Arc::<Taps>::default();
    let admin = match admin::start(&config, observed, &taps, &log) {
        Ok(started) => started,
        Err(why) => {
            server.stop(false).await;
            return Err((Exit::Config, why));
        }
    };
    if let Some(admin) = &admin {
        info!(log, "listening"; "admin" => %admin.address);
    }

    let connected = tokio::select! {
        connected = connect_all(&config, &readiness, &metrics, &log) => connected.map(Some),
        () = signals.stop() => {
            info!(log, "shutdown signal while starting");
            Ok(None)
        }
    };
    let ended = match connected {
        Ok(Some(dependencies)) => {
            info!(log, "dependencies connected");
            failpoint::pass("dependencies");
            actix_rt::spawn(log_capacity_advice(config.clone(), log.clone()));
            let environment = Environment { log, metrics, readiness, instances };
            run_tree(Ingredients { config, dependencies, stats, taps }, environment, signals).await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    if let Some(admin) = admin {
        admin.stop().await;
    }
    server.stop(false).await;
    ended
}

/// Logs capacity advice: whether InfluxDB can hold every tenant. Best effort, concurrent with the start.
async fn log_capacity_advice(config: Config, log: Logger) {
    match capacity::check(&config).await {
        Ok(None) => {}
        Ok(Some(result)) => match result.advice {
            Some(advice) => {
                warn!(log, "this will not hold all tenants"; "of" => result.about, "found" => result.found, "advice" => advice);
            }
            None => info!(log, "preflight check"; "of" => result.about, "found" => result.found),
        },
        Err(why) => info!(log, "preflight check failed"; "of" => "influxdb", "why" => error_chain(&why)),
    }
}

/// Builds the actor tree and waits for its end.
async fn run_tree(ingredients: Ingredients, environment: Environment, signals: Signals) -> Result<(), (Exit, String)> {
    let (log, client) = (environment.log.clone(), ingredients.dependencies.nats.clone());
    let config = ingredients.config.supervisor.clone();
    let factories = tree::factories(Arc::new(ingredients));
    supervise(config, factories, environment, signals, async || flush_acks(&client, &log).await).await
}

/// Flushes acknowledgements with a round trip on their connection: the broker has received what was sent before.
async fn flush_acks(client: &Client, log: &Logger) {
    let context = async_nats::jetstream::new(client.clone());
    let asked = tokio::time::timeout(Duration::from_secs(2), context.get_stream(Lane::TELEMETRY.stream())).await;
    if !matches!(asked, Ok(Ok(_))) {
        warn!(log, "the broker did not confirm the last acknowledgements; it may deliver some messages again");
    }
}
