//! PostgreSQL, asked within bounds. Nothing is changed there.

use std::time::Duration;

use deadpool_postgres::Pool;
use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::config::Config;
use crate::postgres::start::{self, StartError};
use crate::postgres::{self, pool};

/// Longest question, by the server.
const STATEMENT_TIMEOUT_MS: u32 = 10_000;
/// The same for a server that says nothing any more.
const BOUND: Duration = Duration::from_secs(15);

/// Connections for one explanation.
pub(super) struct Database {
    /// For what `explain` asks itself.
    pub client: Client,
    /// For what the registry's own questions ask.
    pub pool: Pool,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub(super) enum DatabaseError {
    /// PostgreSQL refuses it, or the connection broke.
    #[error(transparent)]
    Refused(#[from] tokio_postgres::Error),
    /// It took too long.
    #[error("no answer within {} s; --since makes the question smaller", STATEMENT_TIMEOUT_MS / 1_000)]
    TooLong,
    /// The server says nothing.
    #[error("no answer within {} s", BOUND.as_secs())]
    Silent,
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// When the settings can't work, PostgreSQL does not let the node in, or has another schema.
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let (connector, client) = start::open_checked(&config.postgres).await?;
        let pool = pool::pool(&postgres::Config { pool_max: 1, ..config.postgres.clone() }, &connector)?;
        // Refused or not, the bound on our side holds.
        let _ = client.batch_execute(&format!("SET statement_timeout = {STATEMENT_TIMEOUT_MS}")).await;
        Ok(Self { client, pool })
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub(super) async fn rows(&self, sql: &str, with: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DatabaseError> {
        bounded(self.client.query(sql, with)).await
    }
}

/// Waits for an answer as long as one may take.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn bounded<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    match timeout(BOUND, answer).await {
        Err(_) => Err(DatabaseError::Silent),
        Ok(Err(error)) if error.code() == Some(&SqlState::QUERY_CANCELED) => Err(DatabaseError::TooLong),
        Ok(answer) => Ok(answer?),
    }
}
