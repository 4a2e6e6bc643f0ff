//! Connections: one pool per node, each connection set up alike.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Status, Timeouts};
use thiserror::Error;
use tokio_postgres::{Client, NoTls};

use super::config::Config;
use super::session::{self, CONNECT_TIMEOUT, ConnectError};
use crate::metrics::PoolFigures;

/// Bound on a statement of a command that a person waits for: minutes are fine, for ever is not.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// Why there is no pool.
#[derive(Debug, Error)]
pub enum PoolError {
    /// The URL can't be read. The driver's own words may repeat the password, so they are left out.
    #[error("the PostgreSQL URL can't be read")]
    Url,
    /// The pool's settings contradict each other.
    #[error("the PostgreSQL pool can't be built")]
    Build(#[source] deadpool_postgres::BuildError),
}

/// Reads the connection settings of a room's configuration; for connections outside the pool (`LISTEN`) too.
///
/// # Errors
/// When the URL is none.
pub fn connection_config(config: &Config) -> Result<tokio_postgres::Config, PoolError> {
    let mut connection: tokio_postgres::Config = config.url.expose().parse().map_err(|_| PoolError::Url)?;
    if connection.get_application_name().is_none() {
        connection.application_name("ingest-node");
    }
    if connection.get_connect_timeout().is_none() {
        connection.connect_timeout(CONNECT_TIMEOUT);
    }
    // A dead host is noticed in less than 30 s, whether the node waits for its answer or it for the node's bytes.
    connection.keepalives(true);
    connection.keepalives_idle(Duration::from_secs(10));
    connection.keepalives_interval(Duration::from_secs(5));
    connection.keepalives_retries(3);
    if connection.get_tcp_user_timeout().is_none() {
        connection.tcp_user_timeout(Duration::from_secs(25));
    }
    Ok(connection)
}

/// Opens a connection of a command's own, outside the pool; it ends when the client is dropped.
///
/// # Errors
/// When PostgreSQL does not answer or lets us not in.
pub async fn connect(connection: &tokio_postgres::Config) -> Result<Client, ConnectError> {
    session::open(connection, COMMAND_TIMEOUT).await
}

/// Builds the node's pool. Opens nothing: connections are made on demand, see [`warm`].
///
/// # Errors
/// When the URL can't be read.
pub fn pool(config: &Config) -> Result<Pool, PoolError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let connection = connection_config(config)?;
    let create = session::bound(&connection);
    let manager = Manager::from_config(connection, NoTls, recycling);
    let bound = Duration::from_secs(config.transaction_timeout_secs);
    Pool::builder(manager)
        .max_size(config.pool_max.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(bound), create: Some(bound.min(create)), recycle: Some(bound) })
        .post_create(Hook::async_fn(move |client, _| {
            Box::pin(async move { session::set_up(client, bound).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(PoolError::Build)
}

/// The pool's figures of this moment.
pub(crate) fn figures(pool: &Pool) -> PoolFigures {
    let Status { max_size, size, available, waiting } = pool.status();
    let idle = available.min(size);
    PoolFigures { in_use: size - idle, idle, waiting, size, max: max_size }
}

/// Opens up to `pool_min` connections, so that the first batches need not. Failures are left to those who need one.
pub(crate) async fn warm(pool: &Pool, config: &Config) {
    let mut open = Vec::new();
    for _ in 0..config.pool_min.min(config.pool_max) {
        match pool.get().await {
            Ok(client) => open.push(client),
            Err(_) => break,
        }
    }
}
