//! What PostgreSQL holds of a message: rows, quarantine events, counters, outbox entries, backfills.

use std::collections::HashMap;

use tokio_postgres::Row as SqlRow;

use super::database::{Database, DatabaseError, bounded};
use crate::commands::quarantine::event::Event as StoredEvent;
use crate::commands::quarantine::query;
use crate::commands::quarantine::replayable::Replayable;
use crate::postgres::types::UnixMicros;
use ingest_core::explain::{Backfill, Counted, Entry, Event, Reprocessing, Row};

/// Most rows and events of one stream and number: former streams of a name are few.
const MOST: i64 = 10;

/// Rows with this stream and number, newest first: at this time of the broker's, else at any since then.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn rows(
    database: &Database,
    (stream, seq): (&str, i64),
    received_us: Option<i64>,
    since_us: Option<i64>,
) -> Result<Vec<Row>, DatabaseError> {
    const SQL: &str = "
        SELECT received_at, ingested_at, coalesce(accepted, true), coalesce(msg_type, ''), seq, tenant_id, device_id
        FROM raw_events
        WHERE stream = $1 AND stream_seq = $2 AND ($3::timestamptz IS NULL OR received_at = $3)
          AND ($4::timestamptz IS NULL OR received_at >= $4)
        ORDER BY received_at DESC LIMIT $5";
    let (received, since) = (received_us.map(UnixMicros), since_us.map(UnixMicros));
    let found = database.rows(SQL, &[&stream, &seq, &received, &since, &MOST]).await?;
    let row = |row: &SqlRow| Row {
        received_us: micros(row, 0).unwrap_or_default(),
        stored_us: micros(row, 1),
        accepted: row.get(2),
        msg_type: row.get(3),
        seq: row.get(4),
        tenant: row.get(5),
        device: row.get(6),
    };
    Ok(found.iter().map(row).collect())
}

/// The ids of quarantine events with this stream and number, newest first; as [`rows`].
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn event_ids(
    database: &Database,
    (stream, seq): (&str, i64),
    received_us: Option<i64>,
    since_us: Option<i64>,
) -> Result<Vec<i64>, DatabaseError> {
    const SQL: &str = "
        SELECT id::bigint FROM quarantine_events
        WHERE stream = $1 AND stream_seq = $2 AND ($3::timestamptz IS NULL OR received_at = $3)
          AND ($4::timestamptz IS NULL OR received_at >= $4)
        ORDER BY id DESC LIMIT $5";
    let (received, since) = (received_us.map(UnixMicros), since_us.map(UnixMicros));
    let found = database.rows(SQL, &[&stream, &seq, &received, &since, &MOST]).await?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}

/// Quarantine events as a whole, in the order of their ids here.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn events(database: &Database, ids: &[i64]) -> Result<Vec<StoredEvent>, DatabaseError> {
    bounded(query::by_ids(&database.client, ids)).await
}

/// When these events were stored and last sent through again, Unix microseconds.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn times(
    database: &Database,
    ids: &[i64],
) -> Result<HashMap<i64, (Option<i64>, Option<i64>)>, DatabaseError> {
    const SQL: &str = "SELECT id::bigint, ingested_at, replayed_at FROM quarantine_events WHERE id = ANY ($1)";
    let found = database.rows(SQL, &[&ids]).await?;
    Ok(found.iter().map(|row| (row.get(0), (micros(row, 1), micros(row, 2)))).collect())
}

/// An event as a fact.
pub(super) fn fact(event: &StoredEvent, times: (Option<i64>, Option<i64>), asks_token: bool) -> Event {
    let reprocessing = match Replayable::of(event, false, asks_token) {
        Ok(_) => Reprocessing::Possible,
        Err(why) if Replayable::of(event, true, false).is_ok() => Reprocessing::NeedsTrust(why),
        Err(why) => Reprocessing::Impossible(why),
    };
    let (rejected_us, replayed_us) = times;
    Event {
        id: event.id,
        rejected_us,
        received_us: event.received_us,
        reason: event.reason.clone(),
        detail: event.detail.clone(),
        replayed_us,
        replays: u32::try_from(event.replays).unwrap_or_default(),
        reprocessing,
    }
}

/// What was counted in a message's minute for its tenant, and for senders without a registered device.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn counted(
    database: &Database,
    tenant: Option<&str>,
    received_us: i64,
) -> Result<Vec<Counted>, DatabaseError> {
    const SQL: &str = "
        SELECT c.tenant_id, c.reason, c.cnt, (
            SELECT count(*) FROM quarantine_events q
            WHERE q.received_at >= c.bucket_minute AND q.received_at < c.bucket_minute + interval '1 minute'
              AND q.reason = c.reason AND (q.tenant_id = c.tenant_id OR c.tenant_id = 'unknown'))
        FROM quarantine_counters_minute c
        WHERE c.bucket_minute = date_trunc('minute', $1::timestamptz, 'UTC') AND c.tenant_id IN ($2, 'unknown')
        ORDER BY c.tenant_id = 'unknown', c.cnt DESC LIMIT 10";
    let found = database.rows(SQL, &[&UnixMicros(received_us), &tenant.unwrap_or("unknown")]).await?;
    let count = |row: &SqlRow, column| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
    let counted = |row: &SqlRow| Counted {
        tenant: row.get(0),
        reason: row.get(1),
        counted: count(row, 2),
        stored: count(row, 3),
    };
    Ok(found.iter().map(counted).collect())
}

/// Outbox entries that cover a row, oldest first.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn entries(
    database: &Database,
    tenant: &str,
    stream: &str,
    received_us: i64,
) -> Result<Vec<Entry>, DatabaseError> {
    const SQL: &str = "
        SELECT id::bigint, lines, created_at, attempts, retry_at, owner IS NOT NULL FROM influx_outbox
        WHERE tenant_id = $1 AND stream = $2 AND received_from <= $3 AND received_to >= $3 ORDER BY id LIMIT 10";
    let found = database.rows(SQL, &[&tenant, &stream, &UnixMicros(received_us)]).await?;
    let entry = |row: &SqlRow| Entry {
        id: row.get(0),
        lines: row.get(1),
        created_us: micros(row, 2).unwrap_or_default(),
        attempts: u32::try_from(row.get::<_, i32>(3)).unwrap_or_default(),
        retry_us: micros(row, 4).unwrap_or_default(),
        is_owned: row.get(5),
    };
    Ok(found.iter().map(entry).collect())
}

/// Backfills that have come by a row.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn backfills(
    database: &Database,
    tenant: &str,
    (stream, seq): (&str, i64),
    received_us: i64,
) -> Result<Vec<Backfill>, DatabaseError> {
    const SQL: &str = "
        SELECT id::bigint, updated_at, finished_at FROM influx_backfills
        WHERE tenant_id = $1 AND received_from <= $4 AND received_to > $4
          AND (finished_at IS NOT NULL OR (position_at, position_stream, position_seq) >= ($4, $2, $3))
        ORDER BY id LIMIT 10";
    let found = database.rows(SQL, &[&tenant, &stream, &seq, &UnixMicros(received_us)]).await?;
    let backfill = |row: &SqlRow| Backfill {
        id: row.get(0),
        at_us: micros(row, 1).unwrap_or_default(),
        finished_us: micros(row, 2),
    };
    Ok(found.iter().map(backfill).collect())
}

/// A time, Unix microseconds.
pub(super) fn micros(row: &SqlRow, column: usize) -> Option<i64> {
    row.get::<_, Option<UnixMicros>>(column).map(|UnixMicros(us)| us)
}
