//! Dependencies of the node: connections to NATS and PostgreSQL, made before the tree is built.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::Client;
use deadpool_postgres::Pool;
use slog::{Logger, info, o, warn};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::nats::connect::{self, Observers, connect};
use crate::nats::permissions::Permissions;
use crate::postgres::connector::{ConnectError, Connector};
use crate::postgres::start::{self, Prepared, StartError};
use crate::postgres::{self, pool};
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::readiness::{Condition, Readiness};

/// Connections that survive the generations of the actor tree.
#[derive(Clone)]
pub(crate) struct Dependencies {
    /// Makes connections to PostgreSQL outside of the pool.
    pub connector: Connector,
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
/// The exit code and a sentence.
pub(super) async fn connect_all(
    config: &Config,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    log: &Logger,
) -> Result<Dependencies, (Exit, String)> {
    let (connector, pool) = connect_postgres(&config.postgres, readiness, log)
        .await
        .map_err(|error| (error.exit(), error_chain(&error)))?;
    let shown = pool.clone();
    metrics.postgres.pool.read_from(move || pool::figures(&shown));
    let log_of = |connection| log.new(o!("component" => "nats", "connection" => connection));
    let (name, jobs_name) = ("deliveries", "jobs");
    let permissions = Permissions::new(metrics.clone(), Some(readiness.clone()));
    let observers = |readiness| Observers { readiness, permissions: Some(permissions.clone()) };
    let refused = |error: connect::ConnectError| (error.exit(), error.to_string());
    let nats = connect(&config.nats, name, observers(Some(readiness.clone())), &log_of(name)).await.map_err(refused)?;
    let nats_jobs = connect(&config.nats, jobs_name, observers(None), &log_of(jobs_name)).await.map_err(refused)?;
    let clients = [nats.clone(), nats_jobs.clone()];
    metrics.nats.reconnects.read_from(move || clients.iter().map(reconnects).sum());
    Ok(Dependencies { connector, pool, nats, permissions, nats_jobs })
}

/// How often a connection was made again; the client counts the first time, too.
fn reconnects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed).saturating_sub(1)
}

async fn connect_postgres(
    config: &postgres::Config,
    readiness: &Arc<Readiness>,
    log: &Logger,
) -> Result<(Connector, Pool), StartError> {
    let waiting = |error: &ConnectError| {
        info!(log, "waiting for postgresql"; "error" => %error);
        readiness.down(Condition::Postgres, error_chain(error));
    };
    let (connector, mut client) = start::connect(config, waiting).await?;
    let Prepared { migrated, warnings } = start::prepare(&mut client, config).await?;
    if let Some(report) = migrated {
        info!(log, "schema migrated"; "applied" => report.applied.len(), "version" => report.version);
    }
    for warning in warnings {
        warn!(log, "the schema will refuse rows"; "why" => warning);
    }
    readiness.up(Condition::Schema);
    let pool = pool::pool(config, &connector)?;
    pool::warm(&pool, config).await;
    readiness.up(Condition::Postgres);
    Ok((connector, pool))
}
