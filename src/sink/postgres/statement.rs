//! The statements that write rows of `raw_events`, each for a whole slice of them.
//!
//! All of them are idempotent on broker facts, and all write in the order of their keys: two transactions that meet the
//! same keys wait for each other instead of locking each other out.

use std::collections::HashMap;
use std::pin::pin;

use bytes::Bytes;
use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::SinkExt;
use tokio_postgres::Error;

use super::copy::{self, Row};
use crate::delivery::{Delivery, Origin};
use crate::postgres::types::UnixMicros;
use crate::runtime::failpoint;
use ingest_core::validate::event::Event;

/// Rows that are not there already, straight in, in a transaction of their own; how many.
///
/// The server tells the end of a `COPY` before it commits the transaction that it makes for it, and what the commit meets
/// (deferred constraints) would not be heard. So the transaction is an explicit one, sent along without waiting.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row: then none is there.
pub(super) async fn copy_alone(client: &ClientWrapper, rows: Bytes) -> Result<u64, Error> {
    let statement = client.prepare_cached(&copy_into("raw_events")).await?;
    let (begun, sink) = tokio::join!(biased; client.batch_execute("BEGIN"), client.copy_in(&statement));
    begun?;
    let mut sink = match sink {
        Ok(sink) => pin!(sink),
        Err(error) => {
            client.batch_execute("ROLLBACK").await?;
            return Err(error);
        }
    };
    sink.send(rows).await?;
    failpoint::pass("writer");
    let (copied, committed) = tokio::join!(biased; sink.finish(), client.batch_execute("COMMIT"));
    let rows = copied?;
    committed.map(|()| rows)
}

/// The same as part of a transaction.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row.
pub(super) async fn copy(transaction: &Transaction<'_>, rows: Bytes) -> Result<u64, Error> {
    copy_to(transaction, "raw_events", rows).await
}

/// Rows that may be there already; for each whether it was not.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row: for another reason than that the very delivery is there.
pub(super) async fn copy_new(transaction: &Transaction<'_>, events: &[&(Delivery, Event)]) -> Result<Vec<bool>, Error> {
    let rows = copy::encode(events.iter().map(|(delivery, event)| Row::of(&delivery.origin, event)));
    let inserted = insert_new(transaction, rows).await?;
    let mut is_new = vec![false; events.len()];
    // Of the same delivery twice, one is new.
    let places: HashMap<_, usize> = events.iter().enumerate().map(|(place, (d, _))| (key(&d.origin), place)).collect();
    for row in &inserted {
        let UnixMicros(received_us) = row.get(0);
        if let Some(place) = places.get(&(received_us, row.get(1), row.get(2))) {
            is_new[*place] = true;
        }
    }
    Ok(is_new)
}

/// The same for rows that are no event's; the keys of those that were not there.
///
/// # Errors
/// As [`copy_new`].
pub(super) async fn insert_new(transaction: &Transaction<'_>, rows: Bytes) -> Result<Vec<tokio_postgres::Row>, Error> {
    let columns = copy::COLUMNS;
    // One per session, without the constraints of the table.
    let staging = format!(
        "CREATE TEMP TABLE IF NOT EXISTS ingest_staging ON COMMIT DELETE ROWS AS \
         SELECT {columns} FROM raw_events WITH NO DATA"
    );
    transaction.batch_execute(&staging).await?;
    copy_to(transaction, "ingest_staging", rows).await?;
    let insert = format!(
        "INSERT INTO raw_events ({columns}) SELECT {columns} FROM ingest_staging \
         ORDER BY received_at, stream, stream_seq ON CONFLICT (received_at, stream, stream_seq) DO NOTHING \
         RETURNING received_at, stream::text, stream_seq::bigint"
    );
    let insert = transaction.prepare_cached(&insert).await?;
    transaction.query(&insert, &[]).await
}

/// Empties the staging table, for a transaction that stages more than once.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(super) async fn unstage(transaction: &Transaction<'_>) -> Result<(), Error> {
    let delete = transaction.prepare_cached("DELETE FROM ingest_staging").await?;
    transaction.execute(&delete, &[]).await.map(drop)
}

/// The events as `COPY` takes them.
pub(super) fn encode<'a>(events: impl Iterator<Item = &'a (Delivery, Event)> + Clone) -> Bytes {
    copy::encode(events.map(|(delivery, event)| Row::of(&delivery.origin, event)))
}

/// What keys a row.
fn key(origin: &Origin) -> (i64, &str, i64) {
    (origin.received_us, &origin.stream, origin.stream_seq as i64)
}

fn copy_into(table: &str) -> String {
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", copy::COLUMNS)
}

async fn copy_to(transaction: &Transaction<'_>, table: &str, rows: Bytes) -> Result<u64, Error> {
    let statement = transaction.prepare_cached(&copy_into(table)).await?;
    let mut sink = pin!(transaction.copy_in(&statement).await?);
    sink.send(rows).await?;
    sink.finish().await
}
