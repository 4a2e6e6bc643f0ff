//! How the registry asks PostgreSQL: over a connection of the pool, each question bounded in time.

use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool, Timeouts};
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::error::RegistryError;
use crate::postgres::errors;
use ingest_core::message::device::DeviceKey;
use ingest_core::reprocess::proof;

/// Bound on one statement, kept on our side: a frozen server becomes a fault that passes.
const BOUND: Duration = Duration::from_secs(5);

/// The same bound, kept by the server and a little shorter: a backend that waits for a lock does not notice that its
/// client is gone, and a client that is told keeps its connection.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = 4500";

/// A device to be looked up.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Which.
    pub key: DeviceKey,
    /// The site that its message claims; empty where it claims none, and then it is not provisioned.
    pub site: String,
}

impl Asked {
    /// Whether it says where it would be registered, in text that PostgreSQL can hold.
    pub(super) fn claims_a_site(&self) -> bool {
        !self.site.is_empty() && !self.site.contains('\0')
    }
}

/// Borrows a connection of the pool for a question.
///
/// A connection whose answer did not come in time, or was an error of the database, is not used again: it may still be
/// busy, or remember a statement that a change of the schema has made useless. Where one was silent the idle ones are
/// likely as dead, and each would cost its own bound.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn ask<T>(
    pool: &Pool,
    question: impl AsyncFnOnce(&mut Client) -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let bounds = Timeouts { wait: Some(BOUND), create: Some(BOUND), recycle: Some(BOUND) };
    let mut client = pool.timeout_get(&bounds).await?;
    let answer = question(&mut client).await;
    if let Err(fault) = &answer
        && !fault.is_of_the_question()
    {
        drop(Object::take(client));
        if *fault == RegistryError::Silent {
            pool.retain(|_, _| false);
        }
    }
    answer
}

/// Reads rows in a transaction of its own, so that a refusal leaves nothing behind.
///
/// # Errors
/// Why there are none.
pub(super) async fn read(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, RegistryError> {
    bounded(async {
        let (begun, statement) = join(client.batch_execute(BEGIN), client.prepare_cached(sql)).await;
        begun?;
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => {
                client.batch_execute("ROLLBACK").await?;
                return Err(error);
            }
        };
        // After an error COMMIT rolls back.
        let (rows, ended) = join(client.query(&statement, parameters), client.batch_execute("COMMIT")).await;
        let rows = rows?;
        ended.map(|()| rows)
    })
    .await
}

/// Waits for an answer as long as a statement may take.
///
/// # Errors
/// Why there is none.
pub(super) async fn bounded<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, RegistryError> {
    match tokio::time::timeout(BOUND, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            errors::count_timeout();
            Err(RegistryError::Silent)
        }
    }
}

/// What signs replays; `None` where somebody has removed it, put something else there, or keeps it from this role: then no
/// replay is trusted, and everything else goes on.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn replay_key(client: &tokio_postgres::Client) -> Result<Option<proof::Key>, Error> {
    match client.query_opt("SELECT secret FROM ingest_node.secrets WHERE name = 'replay'", &[]).await {
        Ok(row) => Ok(row.as_ref().and_then(|row| row.try_get(0).ok()).and_then(proof::Key::new)),
        Err(error) if is_out_of_reach(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// No such schema, no such table, or no right to read it.
fn is_out_of_reach(error: &Error) -> bool {
    let kept = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
    error.code().is_some_and(|code| kept.contains(code))
}
