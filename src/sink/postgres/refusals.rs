//! The statements that store refusals, each for a whole slice of them.
//!
//! All of them are idempotent on broker facts, and all write in the order of their keys: two transactions that meet the
//! same keys wait for each other instead of locking each other out.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::Transaction;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::quarantine::{Known, PendingQuarantine, Traces};
use crate::postgres::types::{UnixMicros, storable};
use ingest_core::message::quarantine_content::Content;

const MINUTE_US: i64 = 60_000_000;

/// Finds out what is there already of refused messages that have been delivered before.
///
/// # Errors
/// When PostgreSQL does not answer or refuses the question.
pub(super) async fn recognise(transaction: &Transaction<'_>, refused: &mut [PendingQuarantine]) -> Result<(), Error> {
    // Each key is looked up on its own, so that only its day's partition is read.
    const SQL: &str = "
        SELECT k.place, r.is_there IS NOT NULL FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::text[], $5::boolean[])
            WITH ORDINALITY AS k (received_at, stream, stream_seq, reason, may_have_row, place)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM raw_events e WHERE k.may_have_row AND e.received_at = k.received_at
                AND e.stream = k.stream AND e.stream_seq = k.stream_seq AND e.accepted LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM quarantine_events e WHERE e.received_at = k.received_at AND e.stream = k.stream
                AND e.stream_seq = k.stream_seq AND e.reason = k.reason LIMIT 1) q ON true
        WHERE r.is_there OR q.is_there";

    let mut asked: Vec<&mut PendingQuarantine> = refused.iter_mut().filter(|one| one.traces != Traces::None).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let received: Vec<UnixMicros> = asked.iter().map(|one| UnixMicros(one.origin.received_us)).collect();
    let streams: Vec<&str> = asked.iter().map(|one| &*one.origin.stream).collect();
    let seqs: Vec<i64> = asked.iter().map(|one| one.origin.stream_seq as i64).collect();
    let reasons: Vec<&str> = asked.iter().map(|one| one.refusal.rejection.reason.as_str()).collect();
    let rows: Vec<bool> = asked.iter().map(|one| one.traces == Traces::RejectionOrRow).collect();
    let statement = transaction.prepare_cached(SQL).await?;
    let found = transaction.query(&statement, &[&received, &streams, &seqs, &reasons, &rows]).await?;
    asked.iter_mut().for_each(|one| one.known = Known::Nothing);
    for row in found {
        let place = row.get::<_, i64>(0) as usize - 1;
        if let Some(one) = asked.get_mut(place) {
            one.known = if row.get(1) { Known::Row } else { Known::Rejection };
        }
    }
    Ok(())
}

/// Stores what is not known yet: events, mirrored rows, and the counters of what is new or not kept; how many events were
/// stored.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn store(
    transaction: &Transaction<'_>,
    refused: &[PendingQuarantine],
    count: bool,
) -> Result<u64, Error> {
    mirror(transaction, refused).await?;
    let new = events(transaction, refused).await?;
    if count {
        // The counters are what transactions most likely wait for each other for: they come last.
        let only_counted = refused.iter().filter(|one| !one.keep.event);
        counters(transaction, new.iter().copied().chain(only_counted)).await?;
    }
    Ok(new.len() as u64)
}

/// Events of the quarantine; those that were not there before.
async fn events<'a>(
    transaction: &Transaction<'_>,
    refused: &'a [PendingQuarantine],
) -> Result<Vec<&'a PendingQuarantine>, Error> {
    const SQL: &str = "
        INSERT INTO quarantine_events (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id,
            msg_type, reason, detail, payload, raw, authenticated)
        SELECT received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, reason, detail,
            payload::jsonb, raw, authenticated
        FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::boolean[])
        AS r (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, reason, detail,
            payload, raw, authenticated)
        ORDER BY received_at, stream, stream_seq, reason
        ON CONFLICT (received_at, stream, stream_seq, reason) DO NOTHING
        RETURNING received_at, stream, stream_seq, reason";

    let kept: Vec<&PendingQuarantine> =
        refused.iter().filter(|one| one.keep.event && one.known == Known::Nothing).collect();
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let of = Fields { refused: &kept };
    let payloads: Vec<Option<&str>> = kept.iter().map(|one| json(&one.refusal.content)).collect();
    let raw: Vec<Option<&[u8]>> = kept.iter().map(|one| bytes(&one.refusal.content)).collect();
    let statement = transaction.prepare_cached(SQL).await?;
    let stored = transaction
        .query(
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
                &of.map(|one| one.refusal.rejection.reason.as_str()),
                &of.map(|one| storable(&one.refusal.rejection.detail)),
                &payloads,
                &raw,
                &of.map(|one| one.refusal.rejection.authenticated),
            ],
        )
        .await?;
    // The same message twice in one slice has one event, and one entry here.
    let by_key: HashMap<_, &PendingQuarantine> = kept.into_iter().map(|one| (one.key(), one)).collect();
    let key = |row: &'_ tokio_postgres::Row| {
        let UnixMicros(received_us) = row.get(0);
        by_key.get(&(received_us, row.get::<_, &str>(1), row.get::<_, i64>(2), row.get::<_, &str>(3))).copied()
    };
    Ok(stored.iter().filter_map(key).collect())
}

/// Locks the counters that refusals will move, in order: for a transaction that moves them piece by piece, and would get in
/// the way of others otherwise.
///
/// # Errors
/// When PostgreSQL does not answer or refuses.
pub(super) async fn lock_counters(transaction: &Transaction<'_>, refused: &[PendingQuarantine]) -> Result<(), Error> {
    const SQL: &str = "
        SELECT FROM quarantine_counters_minute c
        JOIN unnest($1::timestamptz[], $2::text[], $3::text[]) AS k (bucket_minute, tenant_id, reason)
            USING (bucket_minute, tenant_id, reason)
        ORDER BY c.bucket_minute, c.tenant_id, c.reason FOR UPDATE OF c";
    let counts = Counts::of(refused.iter());
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.query(&statement, &[&counts.minutes, &counts.tenants, &counts.reasons]).await.map(drop)
}

/// Moves the counters.
async fn counters<'a>(
    transaction: &Transaction<'_>,
    counted: impl Iterator<Item = &'a PendingQuarantine>,
) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO quarantine_counters_minute AS c (bucket_minute, tenant_id, reason, cnt)
        SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::bigint[]) ORDER BY 1, 2, 3
        ON CONFLICT (bucket_minute, tenant_id, reason) DO UPDATE SET cnt = c.cnt + excluded.cnt";

    let counts = Counts::of(counted);
    if counts.counts.is_empty() {
        return Ok(());
    }
    let statement = transaction.prepare_cached(SQL).await?;
    let columns: [&(dyn ToSql + Sync); 4] = [&counts.minutes, &counts.tenants, &counts.reasons, &counts.counts];
    transaction.execute(&statement, &columns).await.map(drop)
}

/// What refusals add to the counters, column by column.
#[derive(Default)]
struct Counts<'a> {
    minutes: Vec<UnixMicros>,
    tenants: Vec<Cow<'a, str>>,
    reasons: Vec<&'static str>,
    counts: Vec<i64>,
}

impl<'a> Counts<'a> {
    fn of(counted: impl Iterator<Item = &'a PendingQuarantine>) -> Self {
        let mut by_key: BTreeMap<(i64, Cow<'a, str>, &'static str), i64> = BTreeMap::new();
        for one in counted {
            if let Some(tenant) = one.counted_tenant() {
                let minute = one.origin.received_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US);
                *by_key.entry((minute, storable(tenant), one.refusal.rejection.reason.as_str())).or_default() += 1;
            }
        }
        let mut counts = Self::default();
        for ((minute, tenant, reason), count) in by_key {
            counts.minutes.push(UnixMicros(minute));
            counts.tenants.push(tenant);
            counts.reasons.push(reason);
            counts.counts.push(count);
        }
        counts
    }
}

/// PendingQuarantine messages as rows of `raw_events` with `accepted = false`.
async fn mirror(transaction: &Transaction<'_>, refused: &[PendingQuarantine]) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO raw_events (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type,
            payload, accepted)
        SELECT received_at, stream, stream_seq, coalesce(event_ts, received_at), topic, tenant_id, site_id, device_id,
            msg_type, payload::jsonb, false
        FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[])
        AS r (received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, payload)
        ORDER BY received_at, stream, stream_seq
        ON CONFLICT (received_at, stream, stream_seq) DO NOTHING";

    let mirrored: Vec<&PendingQuarantine> =
        refused.iter().filter(|one| one.keep.mirror && one.known == Known::Nothing).collect();
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

impl PendingQuarantine {
    /// What keys its event.
    fn key(&self) -> (i64, &str, i64, &str) {
        let reason = self.refusal.rejection.reason.as_str();
        (self.origin.received_us, &self.origin.stream, self.origin.stream_seq as i64, reason)
    }
}

/// PendingQuarantine messages, column by column.
struct Fields<'a> {
    refused: &'a [&'a PendingQuarantine],
}

impl<'a> Fields<'a> {
    fn map<T>(&self, field: impl Fn(&'a PendingQuarantine) -> T) -> Vec<T> {
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
