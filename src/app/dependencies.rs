//! Dependencies of the node: connections to NATS and PostgreSQL, made before the tree is built.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::Client;
use deadpool_postgres::Pool;
use slog::{Logger, error, info, o, warn};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::nats::connect::{Observers, connect};
use crate::nats::permissions::Permissions;
use crate::postgres::session::ConnectError;
use crate::postgres::start::{self, Prepared, StartError};
use crate::postgres::{self, pool};
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::readiness::{Condition, Readiness};
use crate::runtime::terminal::print_error;

/// Connections that survive the generations of the actor tree.
#[derive(Clone)]
pub(crate) struct Dependencies {
    /// Connection settings for PostgreSQL outside of the pool.
    pub connection: tokio_postgres::Config,
    /// Connections to PostgreSQL.
    pub pool: Pool,
    /// The connection that receives deliveries and sends acknowledgements.
    pub nats: Client,
    /// Permission violations on both connections.
    pub permissions: Arc<Permissions>,
    /// The connection that publishes route jobs: back-pressure there must not delay acknowledgements.
    pub nats_jobs: Client,
}

/// Connects all dependencies, each within its timeout.
///
/// # Errors
/// The exit code; the cause is logged and printed.
pub(super) async fn connect_all(
    config: &Config,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    log: &Logger,
) -> Result<Dependencies, Exit> {
    let unavailable = |why: String| {
        error!(log, "giving up at start"; "why" => &why);
        print_error(&why);
        Exit::Unavailable
    };
    let (connection, pool) = connect_postgres(&config.postgres, readiness, log).await?;
    let shown = pool.clone();
    metrics.postgres.pool.read_from(move || pool::figures(&shown));
    let log_of = |connection| log.new(o!("component" => "nats", "connection" => connection));
    let (name, jobs_name) = ("deliveries", "jobs");
    let permissions = Permissions::new(metrics.clone());
    let observers = |readiness| Observers { readiness, permissions: Some(permissions.clone()) };
    let nats =
        connect(&config.nats, name, observers(Some(readiness.clone())), &log_of(name)).await.map_err(unavailable)?;
    let nats_jobs = connect(&config.nats, jobs_name, observers(None), &log_of(jobs_name)).await.map_err(unavailable)?;
    let clients = [nats.clone(), nats_jobs.clone()];
    metrics.nats.reconnects.read_from(move || clients.iter().map(reconnects).sum());
    Ok(Dependencies { connection, pool, nats, permissions, nats_jobs })
}

/// How often a connection was made again; the client counts the first time, too.
fn reconnects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed).saturating_sub(1)
}

async fn connect_postgres(
    config: &postgres::Config,
    readiness: &Arc<Readiness>,
    log: &Logger,
) -> Result<(tokio_postgres::Config, Pool), Exit> {
    let refuse = |why: String, exit: Exit| {
        error!(log, "giving up at start"; "why" => &why);
        print_error(&why);
        exit
    };
    let refused = |error: StartError| refuse(error_chain(&error), error.exit());
    let connection = pool::connection_config(config).map_err(|error| refuse(error.to_string(), Exit::Config))?;
    let waiting = |error: &ConnectError| info!(log, "waiting for postgresql"; "error" => error_chain(error));
    let mut client = start::connect(config, waiting).await.map_err(refused)?;
    let Prepared { migrated, warnings } = start::prepare(&mut client, config).await.map_err(refused)?;
    if let Some(report) = migrated {
        info!(log, "schema migrated"; "applied" => report.applied.len(), "version" => report.version);
    }
    for warning in warnings {
        warn!(log, "the schema will refuse rows"; "why" => warning);
    }
    readiness.up(Condition::Schema);
    let pool = pool::pool(config).map_err(|error| refuse(error.to_string(), Exit::Config))?;
    pool::warm(&pool, config).await;
    readiness.up(Condition::Postgres);
    Ok((connection, pool))
}
