//! A request's transaction with PostgreSQL, bounded in time: a server that is away costs a request some seconds.

use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool, Timeouts, Transaction};
use tokio::time::timeout;

use super::error::ProvisionError;
use crate::postgres::errors;

/// Longest wait for a connection.
const CONNECTION_BOUND: Duration = Duration::from_secs(2);
/// Longest time of a transaction, its commit included.
const BOUND: Duration = Duration::from_secs(4);

/// The same bound, kept by the server and shorter: a backend that waits for a lock does not notice that its client is gone.
const PREPARE: &str = "SET LOCAL lock_timeout = 2000; SET LOCAL statement_timeout = 3500";

/// Runs `work` in a transaction, and commits. After an error nothing is done, unless it was the commit's answer that was lost.
pub(super) async fn in_transaction<T>(
    pool: &Pool,
    work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ProvisionError>,
) -> Result<T, ProvisionError> {
    let bounds =
        Timeouts { wait: Some(CONNECTION_BOUND), create: Some(CONNECTION_BOUND), recycle: Some(CONNECTION_BOUND) };
    let connected = timeout(CONNECTION_BOUND, pool.timeout_get(&bounds)).await;
    let mut client = connected.map_err(|_| silent())??;
    let done = timeout(BOUND, run(&mut client, work)).await.unwrap_or_else(|_| Err(silent()));
    if let Err(ProvisionError::Unavailable(_)) = &done {
        // It may still be busy, or dead; and so may be those that are idle.
        drop(Object::take(client));
        pool.retain(|_, _| false);
    }
    done
}

async fn run<T>(
    client: &mut Client,
    work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, ProvisionError>,
) -> Result<T, ProvisionError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(PREPARE).await?;
    // Dropped after an error, it is rolled back.
    let done = work(&transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

fn silent() -> ProvisionError {
    errors::count_timeout();
    ProvisionError::Unavailable("PostgreSQL did not answer in time".to_owned())
}
