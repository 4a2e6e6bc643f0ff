//! `ingest-node run`, as a story: meet the dependencies, plant the tree, watch it, drain it.

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use async_nats::Client;
use deadpool_postgres::Pool;
use slog::{Logger, error, info, o, warn};

use super::preflight::{self, Finding};
use super::tree::{self, Common};
use crate::config::Config;
use crate::delivery::Lane;
use crate::http;
use crate::metrics::Metrics;
use crate::nats::connect::{Observers, connect};
use crate::nats::permissions::Permissions;
use crate::postgres::session::ConnectError;
use crate::postgres::start::{self, Prepared, StartError};
use crate::postgres::{self, pool};
use crate::runtime::error_chain::sentence;
use crate::runtime::exit::Exit;
use crate::runtime::failpoint;
use crate::runtime::readiness::{Part, Readiness};
use crate::runtime::shutdown_signal::Signals;
use crate::runtime::stats::Stats;
use crate::runtime::terminal::print_error;
use crate::sink::influx::Survey;
use crate::supervisor::root::{Ending, Root, Shutdown};

/// Runs the node until it is told to stop or gives up.
pub(crate) async fn run(config: Config, log: Logger, mut signals: Signals) -> Exit {
    let (health, metrics, stats) = (Readiness::new(), Metrics::new(), Stats::new());
    let (address, server) = match http::start(&config.http, health.clone(), metrics.clone(), stats.clone()) {
        Ok(started) => started,
        Err(why) => {
            error!(log, "http server not started"; "error" => %why);
            print_error(&why);
            return Exit::Config;
        }
    };
    info!(log, "listening"; "http" => %address);

    let met = tokio::select! {
        met = meet(&config, &health, &metrics, &log) => met,
        () = signals.stop() => {
            info!(log, "told to stop while starting");
            Err(Exit::Ok)
        }
    };
    let exit = match met {
        Ok(dependencies) => {
            info!(log, "dependencies are there");
            failpoint::pass("dependencies");
            actix_rt::spawn(advise(config.clone(), log.clone()));
            live(Common { config, dependencies, health, metrics, stats, log }, signals).await
        }
        Err(exit) => exit,
    };
    server.stop(false).await;
    exit
}

/// What the tree stands on; it survives the tree's generations.
#[derive(Clone)]
pub(crate) struct Dependencies {
    /// How to reach PostgreSQL outside of the pool.
    pub connection: tokio_postgres::Config,
    /// Connections to PostgreSQL.
    pub pool: Pool,
    /// The connection that deliveries come in on.
    pub nats: Client,
    /// What the server does not permit on either.
    pub permissions: Arc<Permissions>,
    /// The connection that route jobs go out on: a full pipe there must not hold up acknowledgements.
    pub nats_jobs: Client,
}

/// Waits for the dependencies, within their bounds.
async fn meet(
    config: &Config,
    health: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    log: &Logger,
) -> Result<Dependencies, Exit> {
    let unavailable = |why: String| {
        error!(log, "giving up at start"; "why" => &why);
        print_error(&why);
        Exit::Unavailable
    };
    let (connection, pool) = meet_postgres(&config.postgres, health, log).await?;
    let log_of = |connection| log.new(o!("component" => "nats", "connection" => connection));
    let (name, jobs_name) = ("deliveries", "jobs");
    let permissions = Permissions::new(metrics.clone());
    let seen_by = |health| Observers { health, permissions: Some(permissions.clone()) };
    let nats = connect(&config.nats, name, seen_by(Some(health.clone())), &log_of(name)).await.map_err(unavailable)?;
    let nats_jobs = connect(&config.nats, jobs_name, seen_by(None), &log_of(jobs_name)).await.map_err(unavailable)?;
    Ok(Dependencies { connection, pool, nats, permissions, nats_jobs })
}

async fn meet_postgres(
    config: &postgres::Config,
    health: &Arc<Readiness>,
    log: &Logger,
) -> Result<(tokio_postgres::Config, Pool), Exit> {
    let refuse = |why: String, exit: Exit| {
        error!(log, "giving up at start"; "why" => &why);
        print_error(&why);
        exit
    };
    let not_met = |error: StartError| refuse(sentence(&error), error.exit());
    let connection = pool::connection_config(config).map_err(|error| refuse(error.to_string(), Exit::Config))?;
    let waiting = |error: &ConnectError| info!(log, "waiting for postgresql"; "error" => sentence(error));
    let mut client = start::connect(config, waiting).await.map_err(not_met)?;
    let Prepared { migrated, warnings } = start::prepare(&mut client, config).await.map_err(not_met)?;
    if let Some(report) = migrated {
        info!(log, "schema migrated"; "applied" => report.applied.len(), "version" => report.version);
    }
    for warning in warnings {
        warn!(log, "the schema will refuse rows"; "why" => warning);
    }
    health.up(Part::Schema);
    let pool = pool::pool(config).map_err(|error| refuse(error.to_string(), Exit::Config))?;
    pool::warm(&pool, config).await;
    health.up(Part::Postgres);
    Ok((connection, pool))
}

/// Says what operators should know before it hurts: whether InfluxDB can hold every tenant. Best effort, beside the work.
async fn advise(config: Config, log: Logger) {
    for Finding { of, result } in preflight::look(&config).await {
        match result {
            Ok(Survey { found, advice: Some(advice) }) => {
                warn!(log, "this will not hold all tenants"; "of" => of, "found" => found, "advice" => advice);
            }
            Ok(Survey { found, advice: None }) => info!(log, "looked around"; "of" => of, "found" => found),
            Err(why) => info!(log, "could not look around"; "of" => of, "why" => why),
        }
    }
}

/// Plants the tree and stays until its end.
async fn live(common: Common, mut signals: Signals) -> Exit {
    let (log, client) = (common.log.clone(), common.dependencies.nats.clone());
    let (health, metrics) = (common.health.clone(), common.metrics.clone());
    let config = common.config.supervisor.clone();
    let factories = tree::factories(Arc::new(common));
    let (root, mut ended) = Root::new(config, factories, health, metrics, log.new(o!("component" => "supervisor")));
    let root = root.start();
    let ending = tokio::select! {
        ending = &mut ended => ending,
        () = signals.stop() => {
            root.do_send(Shutdown);
            ended.await
        }
    };
    match ending {
        Ok(Ending::DrainWaiters) => {
            settle_with_broker(&client, &log).await;
            info!(log, "drained");
            Exit::Ok
        }
        Ok(Ending::Unfinished(deliveries)) => {
            settle_with_broker(&client, &log).await;
            error!(log, "drain deadline passed with work undone"; "given_back" => deliveries);
            print_error(format_args!(
                "the drain deadline passed; {deliveries} deliveries were given back to the broker"
            ));
            Exit::Unfinished
        }
        Ok(Ending::BatcherExited(actor)) => {
            settle_with_broker(&client, &log).await;
            error!(log, "died during the drain; what it held is delivered again"; "actor" => actor);
            print_error(format_args!("the {actor} died during the drain; what it held is delivered again"));
            Exit::Unfinished
        }
        Ok(Ending::GaveUp) | Err(_) => Exit::GaveUp,
    }
}

/// A round trip on the connection of the acknowledgements: what was sent before it has been received.
async fn settle_with_broker(client: &Client, log: &Logger) {
    let context = async_nats::jetstream::new(client.clone());
    let asked = tokio::time::timeout(Duration::from_secs(2), context.get_stream(Lane::Telemetry.stream())).await;
    if !matches!(asked, Ok(Ok(_))) {
        warn!(log, "the broker did not confirm the last acknowledgements; it may deliver some messages again");
    }
}
