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

use super::copy;
use super::quarantine::Refused;
use super::types::{UnixMicros, storable};
use crate::core::event::{CommandAck, Content, Event, ShadowReport};
use crate::delivery::{Delivery, Origin};
use crate::failpoint;

/// A slice of deliveries of one kind.
type Slice<'a, T> = &'a [(Delivery, T)];

/// Rows that are not there already, straight in, in a transaction of their own; how many.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row: then none is there.
pub async fn copy_alone(client: &ClientWrapper, rows: Bytes) -> Result<u64, Error> {
    let statement = client.prepare_cached(&copy_into("raw_events")).await?;
    let mut sink = pin!(client.copy_in(&statement).await?);
    sink.send(rows).await?;
    failpoint::pass("writer");
    sink.finish().await
}

/// The same as part of a transaction.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row.
pub async fn copy(transaction: &Transaction<'_>, rows: Bytes) -> Result<u64, Error> {
    copy_to(transaction, "raw_events", rows).await
}

/// Rows that may be there already; how many were not.
///
/// # Errors
/// When PostgreSQL does not answer or refuses a row.
pub async fn copy_new(transaction: &Transaction<'_>, rows: Bytes) -> Result<u64, Error> {
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
         ORDER BY received_at, stream, stream_seq ON CONFLICT DO NOTHING"
    );
    let insert = transaction.prepare_cached(&insert).await?;
    transaction.execute(&insert, &[]).await
}

/// Empties the staging table, for a transaction that stages more than once.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn unstage(transaction: &Transaction<'_>) -> Result<(), Error> {
    let delete = transaction.prepare_cached("DELETE FROM ingest_staging").await?;
    transaction.execute(&delete, &[]).await.map(drop)
}

/// The events as `COPY` takes them.
pub fn encode<'a>(events: impl Iterator<Item = &'a (Delivery, Event)> + Clone) -> Bytes {
    copy::encode(events.map(|(delivery, event)| (&delivery.origin, event)))
}

/// Refusals: quarantine events, and the counters of those that are new or not kept; how many events were stored.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub async fn quarantine(transaction: &Transaction<'_>, refused: &[Refused], count: bool) -> Result<u64, Error> {
    const SQL: &str = "
        WITH kept AS (
            SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[],
                $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $18::boolean[])
            AS r (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, reason,
                detail, payload, raw, authenticated)
        ), stored AS (
            INSERT INTO quarantine_events (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id,
                device_id, msg_type, reason, detail, payload, raw, authenticated)
            SELECT received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, reason,
                detail, payload::jsonb, raw, authenticated
            FROM kept ORDER BY received_at, stream, stream_seq, reason
            ON CONFLICT DO NOTHING
            RETURNING received_at, tenant_id, reason
        ), counted AS (
            SELECT received_at, coalesce(tenant_id, 'unknown') AS tenant_id, reason FROM stored
            UNION ALL
            SELECT * FROM unnest($14::timestamptz[], $15::text[], $16::text[])
        ), moved AS (
            INSERT INTO quarantine_counters_minute AS c (bucket_minute, tenant_id, reason, cnt)
            SELECT date_trunc('minute', received_at, 'UTC'), tenant_id, reason, count(*) FROM counted
            WHERE $17 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (bucket_minute, tenant_id, reason) DO UPDATE SET cnt = c.cnt + excluded.cnt
        )
        SELECT count(*) FROM stored";

    let kept: Vec<&Refused> = refused.iter().filter(|one| one.keep.event).collect();
    let of = Fields { refused: &kept };
    let payloads: Vec<Option<&str>> = kept.iter().map(|one| json(&one.refusal.content)).collect();
    let raw: Vec<Option<&[u8]>> = kept.iter().map(|one| bytes(&one.refusal.content)).collect();
    let reasons: Vec<&str> = kept.iter().map(|one| one.refusal.rejection.reason.as_str()).collect();

    let only_counted: Vec<&Refused> = refused.iter().filter(|one| !one.keep.event).collect();
    let counted_at: Vec<UnixMicros> = only_counted.iter().map(|one| UnixMicros(one.origin.received_us)).collect();
    let counted_tenants: Vec<_> = only_counted.iter().map(|one| storable(one.refusal.counted_tenant())).collect();
    let counted_reasons: Vec<&str> = only_counted.iter().map(|one| one.refusal.rejection.reason.as_str()).collect();

    let statement = transaction.prepare_cached(SQL).await?;
    let stored = transaction
        .query_one(
            &statement,
            &[
                &of.map(|one| UnixMicros(one.origin.received_us)),
                &of.map(|one| &*one.origin.stream),
                &of.map(|one| one.origin.stream_seq as i64),
                &of.map(|one| one.refusal.event_us.map(UnixMicros)),
                &of.map(|one| storable(&one.refusal.topic)),
                &of.map(|one| one.refusal.tenant_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.site_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.device_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.msg_type.as_deref().map(storable)),
                &reasons,
                &of.map(|one| storable(&one.refusal.rejection.detail)),
                &payloads,
                &raw,
                &counted_at,
                &counted_tenants,
                &counted_reasons,
                &count,
                &of.map(|one| one.refusal.rejection.authenticated),
            ],
        )
        .await?;
    Ok(stored.get::<_, i64>(0) as u64)
}

/// Refused messages as rows of `raw_events` with `accepted = false`.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub async fn mirror(transaction: &Transaction<'_>, refused: &[Refused]) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO raw_events (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type,
            payload, accepted)
        SELECT received_at, stream, stream_seq, coalesce(event_ts, received_at), topic, tenant_id, site_id, device_id,
            msg_type, payload::jsonb, false
        FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[])
        AS r (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, payload)
        ORDER BY received_at, stream, stream_seq
        ON CONFLICT DO NOTHING";

    let mirrored: Vec<&Refused> = refused.iter().filter(|one| one.keep.mirror).collect();
    if mirrored.is_empty() {
        return Ok(());
    }
    let of = Fields { refused: &mirrored };
    let payloads: Vec<Option<&str>> = mirrored.iter().map(|one| json(&one.refusal.content)).collect();
    let statement = transaction.prepare_cached(SQL).await?;
    transaction
        .execute(
            &statement,
            &[
                &of.map(|one| UnixMicros(one.origin.received_us)),
                &of.map(|one| &*one.origin.stream),
                &of.map(|one| one.origin.stream_seq as i64),
                &of.map(|one| one.refusal.event_us.map(UnixMicros)),
                &of.map(|one| storable(&one.refusal.topic)),
                &of.map(|one| one.refusal.tenant_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.site_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.device_id.as_deref().map(storable)),
                &of.map(|one| one.refusal.msg_type.as_deref().map(storable)),
                &payloads,
            ],
        )
        .await?;
    Ok(())
}

/// Shadow reports, compared and set by version; how many changed their device's state.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub async fn shadows(transaction: &Transaction<'_>, reports: Slice<'_, ShadowReport>) -> Result<u64, Error> {
    const SQL: &str = "
        INSERT INTO device_state AS s (tenant_id, device_id, site_id, reported_state, reported_version, last_seen_at)
        SELECT tenant_id, device_id, site_id, state::jsonb, version, received_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
        AS r (tenant_id, device_id, site_id, state, version, received_at)
        ORDER BY tenant_id, device_id
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET
            reported_state = excluded.reported_state,
            reported_version = excluded.reported_version,
            last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
        WHERE s.reported_version IS NULL OR s.reported_version <= excluded.reported_version";

    // The statement takes each device once: of several reports the highest version wins, of equals the last.
    let mut winners: HashMap<_, &(Delivery, ShadowReport)> = HashMap::with_capacity(reports.len());
    for report in reports {
        match winners.entry(&report.1.device.key) {
            Entry::Occupied(mut winner) if winner.get().1.version <= report.1.version => {
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
pub async fn acks(transaction: &Transaction<'_>, acks: Slice<'_, CommandAck>) -> Result<u64, Error> {
    const SQL: &str = "
        UPDATE device_commands c SET status = 'delivered', acked_at = a.acked_at, ack_details = a.details::jsonb
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
        AS a (tenant_id, device_id, command_id, details, acked_at)
        WHERE c.tenant_id = a.tenant_id AND c.device_id = a.device_id AND c.command_id = a.command_id
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

/// Refused messages, column by column.
struct Fields<'a> {
    refused: &'a [&'a Refused],
}

impl<'a> Fields<'a> {
    fn map<T>(&self, field: impl Fn(&'a Refused) -> T) -> Vec<T> {
        self.refused.iter().copied().map(field).collect()
    }
}

fn json(content: &Content) -> Option<&str> {
    match content {
        Content::Json(json) => Some(json),
        Content::Raw(_) => None,
    }
}

fn bytes(content: &Content) -> Option<&[u8]> {
    match content {
        Content::Json(_) => None,
        Content::Raw(bytes) => Some(bytes),
    }
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
