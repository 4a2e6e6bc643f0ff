//! The pool: one per node, each connection set up alike.

use std::time::Duration;

use deadpool_postgres::{
    BuildError, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Status, Timeouts,
};

use super::config::Config;
use super::connector::Connector;
use super::session;
use crate::metrics::PoolFigures;

/// Builds the node's pool. Opens nothing: connections are made on demand, see [`warm`].
///
/// # Errors
/// When its settings contradict each other.
pub fn pool(config: &Config, connector: &Connector) -> Result<Pool, BuildError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let create = connector.bound();
    // The connector knows the settings; the manager's own are not used.
    let manager = Manager::from_connect(tokio_postgres::Config::new(), connector.clone(), recycling);
    let bound = Duration::from_secs(config.transaction_timeout_secs);
    Pool::builder(manager)
        .max_size(config.pool_max.max(1))
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(bound), create: Some(bound.min(create)), recycle: Some(bound) })
        .post_create(Hook::async_fn(move |client, _| {
            Box::pin(async move { session::set_up(client, bound).await.map_err(HookError::Backend) })
        }))
        .build()
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
