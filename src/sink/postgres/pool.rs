//! Connections: one pool per node, each connection set up alike.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use thiserror::Error;
use tokio_postgres::{Client, NoTls};

use super::Config;

/// Longest wait for a TCP connection: a host that swallows packets becomes a fault that passes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    connection.keepalives_idle(Duration::from_secs(30));
    Ok(connection)
}

/// Opens a connection of its own, outside the pool; it ends when the client is dropped.
///
/// # Errors
/// When PostgreSQL does not answer or lets us not in.
pub async fn connect(connection: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, driver) = connection.connect(NoTls).await?;
    // Its errors reach whoever uses the client.
    tokio::spawn(async move { drop(driver.await) });
    Ok(client)
}

/// Builds the node's pool. Opens nothing: connections are made on demand, see [`warm`].
///
/// # Errors
/// When the URL can't be read.
pub fn pool(config: &Config) -> Result<Pool, PoolError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(connection_config(config)?, NoTls, recycling);
    let setup = session_setup(config);
    let bound = Duration::from_secs(config.transaction_timeout_secs);
    Pool::builder(manager)
        .max_size(config.pool_max.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(bound), create: Some(bound.min(CONNECT_TIMEOUT * 2)), recycle: Some(bound) })
        .post_create(Hook::async_fn(move |client, _| {
            let setup = setup.clone();
            Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(PoolError::Build)
}

/// Opens up to `pool_min` connections, so that the first batches need not. Failures are left to those who need one.
pub async fn warm(pool: &Pool, config: &Config) {
    let mut open = Vec::new();
    for _ in 0..config.pool_min.min(config.pool_max) {
        match pool.get().await {
            Ok(client) => open.push(client),
            Err(_) => break,
        }
    }
}

/// What every session is told first.
fn session_setup(config: &Config) -> String {
    let bound_ms = config.transaction_timeout_secs.saturating_mul(1_000).max(1);
    format!(
        // The server gives up where the client already has: a backend that waits for a lock does not notice that its
        // client is gone.
        "SET statement_timeout = {bound_ms}; \
         SET idle_in_transaction_session_timeout = {}; \
         SET timezone = 'UTC'; \
         SET client_min_messages = 'warning'; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        bound_ms.saturating_mul(2)
    )
}
