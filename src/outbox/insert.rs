//! Transactional outbox: inserts the entries of a batch's points in the transaction of its rows, so that both are committed or
//! neither.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, Statement};

use crate::delivery::Delivery;
use crate::delivery::pending_ack::{Outbox, PendingAck};
use crate::postgres::types::UnixMicros;
use ingest_core::validate::event::Event;

/// An entry stays within one time range of the broker's time of this length, in microseconds. Redelivery reads all that was
/// received in an entry's range: a message that the broker delivers late must not make that hours.
const RANGE_US: i64 = 600_000_000;

const SQL: &str = "
    INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines, owner)
    SELECT tenant_id, stream, received_from, received_to, lines, $6::text::uuid
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[])
    WITH ORDINALITY AS r (tenant_id, stream, received_from, received_to, lines, place)
    ORDER BY place
    RETURNING id";

/// Prepares the statement, so that [`record`] can be sent right before others without waiting.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn prepare(transaction: &Transaction<'_>) -> Result<Statement, Error> {
    transaction.prepare_cached(SQL).await
}

/// Inserts the entries of a batch, one per tenant and time range; the pending ack of each event's point, in the order of the
/// events. Events without a point refer to no entry.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn record(
    transaction: &Transaction<'_>,
    statement: &Statement,
    outbox: &Outbox,
    events: &[(Delivery, Event)],
) -> Result<Vec<PendingAck>, Error> {
    let (entries, places) = entries(events);
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: Vec<&str> = entries.iter().map(|entry| &*entry.tenant_id).collect();
    let streams: Vec<&str> = entries.iter().map(|entry| &*entry.stream).collect();
    let from: Vec<UnixMicros> = entries.iter().map(|entry| UnixMicros(entry.from_us)).collect();
    let to: Vec<UnixMicros> = entries.iter().map(|entry| UnixMicros(entry.to_us)).collect();
    let lines: Vec<i64> = entries.iter().map(|entry| entry.lines).collect();
    let rows = transaction.query(statement, &[&tenants, &streams, &from, &to, &lines, &outbox.owner()]).await?;
    // Numbers are drawn in the order of the insertion, whatever the order of the answer.
    let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable();
    let whole: Vec<PendingAck> = ids.into_iter().map(|id| outbox.track(vec![id])).collect();
    let pending_acks = places
        .into_iter()
        .map(|place| place.and_then(|place| whole.get(place)).map_or_else(PendingAck::default, PendingAck::clone_ref))
        .collect();
    whole.into_iter().for_each(PendingAck::discard);
    Ok(pending_acks)
}

/// An entry to be inserted.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    tenant_id: Arc<str>,
    stream: Arc<str>,
    from_us: i64,
    to_us: i64,
    lines: i64,
}

/// The entries that these events make, and for each event which one is its own.
fn entries(events: &[(Delivery, Event)]) -> (Vec<Entry>, Vec<Option<usize>>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut known = std::collections::HashMap::new();
    let places = events
        .iter()
        .map(|(Delivery { origin, .. }, event)| {
            event.line.as_ref()?;
            let (tenant_id, received_us) = (&event.device.key.tenant_id, origin.received_us);
            let key = (&**tenant_id, &*origin.stream, received_us.div_euclid(RANGE_US));
            let place = *known.entry(key).or_insert_with(|| {
                entries.push(Entry {
                    tenant_id: tenant_id.clone(),
                    stream: origin.stream.clone(),
                    from_us: received_us,
                    to_us: received_us,
                    lines: 0,
                });
                entries.len() - 1
            });
            let entry = entries.get_mut(place)?;
            entry.from_us = entry.from_us.min(received_us);
            entry.to_us = entry.to_us.max(received_us);
            entry.lines += 1;
            Some(place)
        })
        .collect();
    (entries, places)
}
