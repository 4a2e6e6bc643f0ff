//! The gateway's story: from its connections to its drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::Client;
use slog::{Logger, info, o};

use super::tree::{self, Ingredients};
use crate::app::probes;
use crate::app::reload::{self, Reloads};
use crate::app::supervise::supervise;
use crate::config::Config;
use crate::gateway::StreamPublisher;
use crate::gateway::http::Listener;
use crate::metrics::Metrics;
use crate::nats::connect::{Observers, connect};
use crate::nats::permissions::Permissions;
use crate::postgres::connector::Connector;
use crate::postgres::pool;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
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
    let (readiness, metrics, stats) = (Readiness::of_gateway(conditions(&config)), Metrics::of_gateway(), Stats::new());
    let server = probes::serve(&config, &readiness, &metrics, &stats, &log)?;

    let nats_log = log.new(o!("component" => "nats", "connection" => "gateway"));
    let permissions = Permissions::new(metrics.clone(), Some(readiness.clone()));
    let observers = Observers { readiness: Some(readiness.clone()), permissions: Some(permissions.clone()) };
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
            match ingredients(config, client, permissions, &metrics) {
                Ok(ingredients) => {
                    let listener = &ingredients.listener;
                    info!(log, "listening for devices"; "http" => %listener.address(), "tls" => listener.is_tls());
                    let environment = Environment { log, metrics, readiness, instances: Arc::default() };
                    let factories = tree::factories(Arc::new(ingredients));
                    supervise(supervisor, factories, environment, signals, async || ()).await
                }
                Err(why) => Err((Exit::Config, why)),
            }
        }
        Ok(None) => Ok(()),
        Err(failure) => Err((failure.exit(), failure.to_string())),
    };
    server.stop(false).await;
    ended
}

/// What the tree is made of. PostgreSQL is connected to when it is needed: what is cached serves without.
///
/// # Errors
/// A sentence that names the setting that can't work.
fn ingredients(
    config: Config,
    client: Client,
    permissions: Arc<Permissions>,
    metrics: &Arc<Metrics>,
) -> Result<Ingredients, String> {
    let connector = Connector::new(&config.postgres).map_err(|error| error_chain(&error))?;
    let pool = pool::pool(&config.postgres, &connector).map_err(|error| error_chain(&error))?;
    let shown = pool.clone();
    metrics.postgres.pool.read_from(move || pool::figures(&shown));
    let listener = Listener::bind(&config.gateway_http).map_err(|error| error.to_string())?;
    let publisher = StreamPublisher::new(&config.gateway, client.clone(), metrics);
    Ok(Ingredients { config, client, permissions, publisher, streams: Arc::default(), connector, pool, listener })
}
