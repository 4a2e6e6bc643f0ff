//! The statements of a transaction, each for a whole slice of its kind.
//!
//! All of them are idempotent on broker facts, and all write in the order of their keys: two transactions that meet the
//! same keys wait for each other instead of locking each other out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;

use bytes::Bytes;
use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::SinkExt;
use tokio_postgres::Error;

use super::copy::{self, Row};
use crate::delivery::{Delivery, Origin};
use crate::postgres::types::UnixMicros;
use crate::runtime::failpoint;
use ingest_core::validate::event::{CommandAck, Event, ShadowReport};

/// A slice of deliveries of one kind.
type Slice<'a, T> = &'a [(Delivery, T)];

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
         RETURNING received_at, stream, stream_seq"
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

/// Shadow reports, compared and set by version and broker time; how many changed their device's state.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn shadows(transaction: &Transaction<'_>, reports: Slice<'_, ShadowReport>) -> Result<u64, Error> {
    // A report that has no time on record is older than any other of its version.
    const SQL: &str = "
        INSERT INTO device_state AS s (tenant_id, device_id, site_id, reported_state, reported_version, reported_at,
            last_seen_at)
        SELECT tenant_id, device_id, site_id, state::jsonb, version, received_at, received_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
        AS r (tenant_id, device_id, site_id, state, version, received_at)
        ORDER BY tenant_id, device_id
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET
            reported_state = excluded.reported_state,
            reported_version = excluded.reported_version,
            reported_at = excluded.reported_at,
            last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
        WHERE s.reported_version IS NULL
            OR (s.reported_version, coalesce(s.reported_at, '-infinity'))
                <= (excluded.reported_version, excluded.reported_at)";

    // The statement takes each device once: of several reports the one that would stay.
    let order = |(delivery, report): &(Delivery, ShadowReport)| (report.version, delivery.origin.received_us);
    let mut winners: HashMap<_, &(Delivery, ShadowReport)> = HashMap::with_capacity(reports.len());
    for report in reports {
        match winners.entry(&report.1.device.key) {
            Entry::Occupied(mut winner) if order(winner.get()) <= order(report) => {
                winner.insert(report);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(report);
            }
        }
    }
    let winners: Vec<_> = winners.into_values().collect();
    let tenants: Vec<&str> = winners.iter().map(|(_, report)| &*report.device.key.tenant_id).collect();
    let devices: Vec<&str> = winners.iter().map(|(_, report)| &*report.device.key.device_id).collect();
    let sites: Vec<&str> = winners.iter().map(|(_, report)| report.device.site_id.as_str()).collect();
    let states: Vec<&str> = winners.iter().map(|(_, report)| report.reported.as_str()).collect();
    let versions: Vec<i64> = winners.iter().map(|(_, report)| report.version).collect();
    let received: Vec<UnixMicros> = received_at(winners.iter().map(|(delivery, _)| delivery));
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&tenants, &devices, &sites, &states, &versions, &received]).await
}

/// Command acknowledgements; how many commands they moved from `queued` to `delivered`.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn acks(transaction: &Transaction<'_>, acks: Slice<'_, CommandAck>) -> Result<u64, Error> {
    const SQL: &str = "
        WITH locked AS MATERIALIZED (
            SELECT c.tenant_id, c.device_id, c.command_id, a.details, a.acked_at
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
                AS a (tenant_id, device_id, command_id, details, acked_at)
            JOIN device_commands c ON c.tenant_id = a.tenant_id AND c.device_id = a.device_id
                AND c.command_id = a.command_id AND c.status = 'queued'
            ORDER BY c.tenant_id, c.command_id FOR UPDATE OF c
        )
        UPDATE device_commands c SET status = 'delivered', acked_at = l.acked_at, ack_details = l.details::jsonb
        FROM locked l
        WHERE c.tenant_id = l.tenant_id AND c.device_id = l.device_id AND c.command_id = l.command_id
            AND c.status = 'queued'";

    // The first acknowledgement of a command counts, as it does across transactions.
    let mut firsts: HashMap<_, &(Delivery, CommandAck)> = HashMap::with_capacity(acks.len());
    for ack in acks {
        firsts.entry((&ack.1.device.key, ack.1.command_id.as_str())).or_insert(ack);
    }
    let firsts: Vec<_> = firsts.into_values().collect();
    let tenants: Vec<&str> = firsts.iter().map(|(_, ack)| &*ack.device.key.tenant_id).collect();
    let devices: Vec<&str> = firsts.iter().map(|(_, ack)| &*ack.device.key.device_id).collect();
    let commands: Vec<&str> = firsts.iter().map(|(_, ack)| ack.command_id.as_str()).collect();
    let details: Vec<&str> = firsts.iter().map(|(_, ack)| ack.ack_details.as_str()).collect();
    let acked: Vec<UnixMicros> = received_at(firsts.iter().map(|(delivery, _)| delivery));
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&tenants, &devices, &commands, &details, &acked]).await
}

fn received_at<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> Vec<UnixMicros> {
    deliveries.map(|Delivery { origin: Origin { received_us, .. }, .. }| UnixMicros(*received_us)).collect()
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
