//! The statements that store rejections, each for a whole slice of them.
//!
//! All of them are idempotent on broker facts, and all write in the order of their keys: two transactions that meet the
//! same keys wait for each other instead of locking each other out.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use deadpool_postgres::Transaction;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::quarantine::{Known, PendingQuarantine, Traces};
use crate::postgres::types::{UnixMicros, storable};
use ingest_core::message::quarantine_content::Content;
use ingest_core::validate::event::QuarantineRecord;

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

/// The columns that a record of the quarantine and a row of `raw_events` have in common, as [`Columns`] holds them.
const COLUMNS: &str =
    "received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, payload";
/// The same as they are inserted.
const SELECTED: &str =
    "received_at, stream, stream_seq, event_ts, topic, tenant_id, site_id, device_id, msg_type, payload::jsonb";
/// The same as parameters.
const ARRAYS: &str =
    "$1::timestamptz[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[]";

/// Events of the quarantine; those that were not there before.
async fn events<'a>(
    transaction: &Transaction<'_>,
    refused: &'a [PendingQuarantine],
) -> Result<Vec<&'a PendingQuarantine>, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let own = "reason, detail, raw, authenticated";
        format!(
            "INSERT INTO quarantine_events ({COLUMNS}, {own}) SELECT {SELECTED}, {own}
             FROM unnest({ARRAYS}, $11::text[], $12::text[], $13::bytea[], $14::boolean[]) AS r ({COLUMNS}, {own})
             ORDER BY received_at, stream, stream_seq, reason
             ON CONFLICT (received_at, stream, stream_seq, reason) DO NOTHING
             RETURNING received_at, stream::text, stream_seq::bigint, reason::text"
        )
    });

    let kept: Vec<&PendingQuarantine> =
        refused.iter().filter(|one| one.keep.event && one.known == Known::Nothing).collect();
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let common = Columns::of(&kept, |one| one.refusal.event_us);
    let reasons: Vec<&str> = kept.iter().map(|one| one.refusal.rejection.reason.as_str()).collect();
    let details: Vec<Cow<'_, str>> = kept.iter().map(|one| storable(&one.refusal.rejection.detail)).collect();
    let raw: Vec<Option<&[u8]>> = kept.iter().map(|one| bytes(&one.refusal.content)).collect();
    let authenticated: Vec<_> = kept.iter().map(|one| one.refusal.rejection.authenticated).collect();
    let own: [&(dyn ToSql + Sync); 4] = [&reasons, &details, &raw, &authenticated];
    let statement = transaction.prepare_cached(&SQL).await?;
    let stored = transaction.query(&statement, &[&common.parameters()[..], &own].concat()).await?;
    // The same message twice in one slice has one event, and one entry here.
    let by_key: HashMap<_, &PendingQuarantine> = kept.into_iter().map(|one| (one.key(), one)).collect();
    let key = |row: &'_ tokio_postgres::Row| {
        let UnixMicros(received_us) = row.get(0);
        by_key.get(&(received_us, row.get::<_, &str>(1), row.get::<_, i64>(2), row.get::<_, &str>(3))).copied()
    };
    Ok(stored.iter().filter_map(key).collect())
}

/// Locks the counters that rejections will move, in order: for a transaction that moves them piece by piece, and would get in
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

/// What rejections add to the counters, column by column.
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

/// Rejected messages as rows of `raw_events` with `accepted = false`.
async fn mirror(transaction: &Transaction<'_>, refused: &[PendingQuarantine]) -> Result<(), Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO raw_events ({COLUMNS}, accepted) SELECT {SELECTED}, false FROM unnest({ARRAYS}) AS r ({COLUMNS})
             ORDER BY received_at, stream, stream_seq
             ON CONFLICT (received_at, stream, stream_seq) DO NOTHING"
        )
    });

    let mirrored: Vec<&PendingQuarantine> =
        refused.iter().filter(|one| one.keep.mirror && one.known == Known::Nothing).collect();
    if mirrored.is_empty() {
        return Ok(());
    }
    // A row has a time of its event, the sender's or the broker's.
    let columns = Columns::of(&mirrored, |one| one.refusal.event_us.or(Some(one.origin.received_us)));
    let statement = transaction.prepare_cached(&SQL).await?;
    transaction.execute(&statement, &columns.parameters()).await.map(drop)
}

impl PendingQuarantine {
    /// What keys its event.
    fn key(&self) -> (i64, &str, i64, &str) {
        let reason = self.refusal.rejection.reason.as_str();
        (self.origin.received_us, &self.origin.stream, self.origin.stream_seq as i64, reason)
    }
}

/// Rejected messages, column by column ([`COLUMNS`]).
struct Columns<'a> {
    received_at: Vec<UnixMicros>,
    streams: Vec<&'a str>,
    seqs: Vec<i64>,
    event_ts: Vec<Option<UnixMicros>>,
    topics: Vec<Cow<'a, str>>,
    tenants: Vec<Option<Cow<'a, str>>>,
    sites: Vec<Option<Cow<'a, str>>>,
    devices: Vec<Option<Cow<'a, str>>>,
    msg_types: Vec<Option<Cow<'a, str>>>,
    payloads: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(refused: &[&'a PendingQuarantine], event_us: impl Fn(&PendingQuarantine) -> Option<i64>) -> Self {
        let refused = || refused.iter().copied();
        let text = |field: fn(&QuarantineRecord) -> Option<&str>| {
            refused().map(|one| field(&one.refusal).map(storable)).collect()
        };
        Self {
            received_at: refused().map(|one| UnixMicros(one.origin.received_us)).collect(),
            streams: refused().map(|one| &*one.origin.stream).collect(),
            seqs: refused().map(|one| one.origin.stream_seq as i64).collect(),
            event_ts: refused().map(|one| event_us(one).map(UnixMicros)).collect(),
            topics: refused().map(|one| storable(&one.refusal.topic)).collect(),
            tenants: text(|record| record.tenant_id.as_deref()),
            sites: text(|record| record.site_id.as_deref()),
            devices: text(|record| record.device_id.as_deref()),
            msg_types: text(|record| record.msg_type.as_deref()),
            payloads: refused().map(|one| json(&one.refusal.content)).collect(),
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.received_at,
            &self.streams,
            &self.seqs,
            &self.event_ts,
            &self.topics,
            &self.tenants,
            &self.sites,
            &self.devices,
            &self.msg_types,
            &self.payloads,
        ]
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
