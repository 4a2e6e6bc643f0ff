//! Reads from PostgreSQL for devices: few at a time, each bounded.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Timeouts};
use slog::{Logger, debug};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::gateway::http::failure::Failure;
use crate::metrics::RequestFault;
use crate::postgres::errors;
use crate::runtime::error_chain::error_chain;

/// Bound on one question, a connection for it included.
const BOUND: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug, Error)]
enum ReadError {
    #[error("no connection")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error("no answer within {} s", BOUND.as_secs())]
    Silent,
}

/// Reads rows.
#[derive(Clone)]
pub(super) struct Reader {
    pool: Pool,
    places: Arc<Semaphore>,
    log: Logger,
}

impl Reader {
    /// Over this pool, so many questions at a time.
    pub(super) fn new(pool: Pool, readers: usize, log: Logger) -> Self {
        Self { pool, places: Arc::new(Semaphore::new(readers)), log }
    }

    /// The rows of a question.
    ///
    /// # Errors
    /// PostgreSQL does not answer, or too many ask.
    pub(super) async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let Ok(Ok(_place)) = tokio::time::timeout(BOUND, self.places.acquire()).await else {
            return Err(unavailable("too many devices ask at once"));
        };
        self.ask(sql, parameters).await.map_err(|why| {
            debug!(self.log, "a device's request can't be answered from PostgreSQL"; "error" => error_chain(&why));
            unavailable("PostgreSQL does not answer now")
        })
    }

    async fn ask(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, ReadError> {
        let bounds = Timeouts { wait: Some(BOUND), create: Some(BOUND), recycle: Some(BOUND) };
        let client = self.pool.timeout_get(&bounds).await?;
        let question = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, parameters).await
        };
        let rows = match tokio::time::timeout(BOUND, question).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                errors::count(&error);
                Err(error.into())
            }
            Err(_) => {
                errors::count_timeout();
                Err(ReadError::Silent)
            }
        };
        if rows.is_err() {
            // It may still be busy, or remember a statement that a change of the schema has made useless.
            drop(Object::take(client));
        }
        rows
    }
}

fn unavailable(why: &'static str) -> Failure {
    Failure::request(RequestFault::RegistryUnavailable, why)
}
