//! Probes: is a refused item to blame, or would anything else be refused as well?
//!
//! A probe writes what should be harmless behind a savepoint and takes it back. As long as one is accepted, the table
//! works. A table that refuses whatever was accepted before is at fault itself.

use std::collections::VecDeque;

use deadpool_postgres::Transaction;
use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::Error;

use super::copy::{self, Row};
use super::quarantine::{Keep, PendingQuarantine};
use super::{quarantine_statements, statement};
use crate::delivery::{Delivery, Origin};
use crate::postgres::classify::{Failure, Meaning, ServerError};
use ingest_core::message::device::DeviceKey;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::{Event, QuarantineRecord};

/// Tenants of which a stored row is remembered: a table may refuse one of them only.
const TENANTS: usize = 4;
/// Longest payload that is remembered.
const MAX_PAYLOAD_BYTES: usize = 1024;
/// Whose rows a probe writes where nobody's were accepted yet.
const NOBODY: &str = "ingest-node";

/// Rows that were accepted, one for each of the last tenants.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<VecDeque<Sample>>);

#[derive(Clone, Debug)]
struct Sample {
    seq: i64,
    tenant_id: String,
    site_id: String,
    device_id: String,
    msg_type: String,
    topic: String,
    payload: String,
}

impl Samples {
    /// Remembers a row that was stored.
    pub(super) fn remember(&self, event: &Event) {
        let mut samples = self.lock();
        samples.retain(|sample| *sample.tenant_id != *event.device.key.tenant_id);
        samples.push_front(Sample::of(event));
        samples.truncate(TENANTS);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock()
    }
}

impl Sample {
    fn of(event: &Event) -> Self {
        let is_small = event.payload.len() <= MAX_PAYLOAD_BYTES;
        Self {
            seq: event.seq,
            tenant_id: event.device.key.tenant_id.to_string(),
            site_id: event.device.site_id.clone(),
            device_id: event.device.key.device_id.to_string(),
            msg_type: event.msg_type.as_str().to_owned(),
            topic: event.topic.to_string(),
            payload: if is_small { event.payload[..].to_owned() } else { "{}".to_owned() },
        }
    }

    /// The same device's row with nothing in it.
    fn harmless(event: &Event) -> Self {
        Self { seq: 0, payload: "{}".to_owned(), ..Self::of(event) }
    }

    fn of_nobody() -> Self {
        Self {
            seq: 0,
            tenant_id: NOBODY.to_owned(),
            site_id: NOBODY.to_owned(),
            device_id: NOBODY.to_owned(),
            msg_type: "telemetry".to_owned(),
            topic: format!("tenant/{NOBODY}/device/{NOBODY}/telemetry"),
            payload: "{}".to_owned(),
        }
    }

    fn row<'a>(&'a self, origin: &'a Origin) -> Row<'a> {
        Row {
            origin,
            event_us: origin.received_us,
            seq: self.seq,
            tenant_id: &self.tenant_id,
            site_id: &self.site_id,
            device_id: &self.device_id,
            msg_type: &self.msg_type,
            topic: &self.topic,
            payload: &self.payload,
        }
    }
}

/// Whether `raw_events` gives the answer that it gave to this event to other rows of its day as well.
///
/// # Errors
/// When PostgreSQL does not answer any more.
pub(super) async fn rows(
    transaction: &mut Transaction<'_>,
    (delivery, event): &(Delivery, Event),
    answer: &ServerError,
    samples: &Samples,
) -> Result<bool, Failure> {
    let mut accepted_before: Vec<Sample> = samples.lock().iter().cloned().collect();
    if accepted_before.is_empty() {
        accepted_before = stored(transaction).await?;
    }
    let mut same = false;
    let unproven = [Sample::harmless(event), Sample::of_nobody()];
    let unproven = unproven.iter().map(|sample| (sample, !answer.is_about_another_table()));
    for (sample, counts) in unproven.chain(accepted_before.iter().map(|sample| (sample, true))) {
        let origin = unused(&delivery.origin);
        let write = async |part: &Transaction<'_>| {
            statement::insert_new(part, copy::encode(std::iter::once(sample.row(&origin)))).await.map(drop)
        };
        match undone(transaction, write).await? {
            Ok(()) => return Ok(false),
            Err(other) => same |= counts && is_same(answer, &other),
        }
    }
    Ok(same)
}

/// Rows that are in the table: of a node that has stored none yet.
async fn stored(transaction: &mut Transaction<'_>) -> Result<Vec<Sample>, Failure> {
    const SQL: &str = "
        SELECT coalesce(seq, 0), tenant_id, site_id, device_id, msg_type, topic FROM raw_events
        WHERE received_at IS NOT NULL AND accepted ORDER BY received_at DESC, stream DESC, stream_seq DESC LIMIT 100";
    let part = transaction.savepoint("samples").await?;
    let rows = match part.query(SQL, &[]).await.map_err(Failure::from) {
        Ok(rows) => rows,
        Err(Failure::Answered(_)) => Vec::new(),
        Err(away) => return Err(away),
    };
    part.rollback().await?;
    transaction.batch_execute("RELEASE samples").await?;
    let mut samples: Vec<Sample> = Vec::new();
    for row in rows {
        let text = |column: usize| row.try_get::<_, Option<String>>(column).ok().flatten().unwrap_or_default();
        let tenant_id = text(1);
        if samples.len() < TENANTS && samples.iter().all(|sample| sample.tenant_id != tenant_id) {
            let seq = row.try_get(0).unwrap_or_default();
            let (site_id, device_id, msg_type, topic) = (text(2), text(3), text(4), text(5));
            samples.push(Sample { seq, tenant_id, site_id, device_id, msg_type, topic, payload: "{}".to_owned() });
        }
    }
    Ok(samples)
}

/// Whether the quarantine gives the answer that it gave to this refusal to the simplest one as well.
///
/// # Errors
/// When PostgreSQL does not answer any more.
pub(super) async fn quarantine(
    transaction: &mut Transaction<'_>,
    refused: &PendingQuarantine,
    answer: &ServerError,
    counters: bool,
) -> Result<bool, Failure> {
    let simplest = QuarantineRecord {
        rejection: Rejection::from(Reason::BadEnvelope),
        topic: String::new(),
        tenant_id: None,
        site_id: None,
        device_id: None,
        msg_type: None,
        of_unknown_tenant: false,
        event_us: None,
        content: Content::Raw("{}".into()),
    };
    let simplest = [PendingQuarantine::of(unused(&refused.origin), simplest, Keep { mirror: false, ..refused.keep })];
    let write = async |part: &Transaction<'_>| quarantine_statements::store(part, &simplest, counters).await.map(drop);
    Ok(undone(transaction, write).await?.is_err_and(|other| is_same(answer, &other)))
}

/// Whether `device_state` gives the answer that it gave to a report of this device to others as well.
///
/// # Errors
/// When PostgreSQL does not answer any more.
pub(super) async fn shadows(
    transaction: &mut Transaction<'_>,
    device: &DeviceKey,
    site_id: &str,
    answer: &ServerError,
) -> Result<bool, Failure> {
    const SQL: &str = "
        INSERT INTO device_state (tenant_id, device_id, site_id, reported_state, reported_version, last_seen_at)
        VALUES ($1, $2, $3, '{}', 0, now())
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET reported_state = excluded.reported_state";
    let mut same = false;
    for (tenant_id, device_id, site_id) in [(&*device.tenant_id, &*device.device_id, site_id), (NOBODY, NOBODY, NOBODY)]
    {
        let write =
            async |part: &Transaction<'_>| part.execute(SQL, &[&tenant_id, &device_id, &site_id]).await.map(drop);
        match undone(transaction, write).await? {
            Ok(()) => return Ok(false),
            Err(other) => same |= !answer.is_about_another_table() && is_same(answer, &other),
        }
    }
    Ok(same)
}

/// Whether `device_commands` gives the answer that it gave to this command's acknowledgement to another one's as well, or
/// to an empty one of the same where no other command waits.
///
/// # Errors
/// When PostgreSQL does not answer any more.
pub(super) async fn acks(
    transaction: &mut Transaction<'_>,
    device: &DeviceKey,
    command_id: &str,
    answer: &ServerError,
) -> Result<bool, Failure> {
    const SAME: &str = "
        UPDATE device_commands SET status = 'delivered', acked_at = now(), ack_details = '{}'
        WHERE tenant_id = $1 AND device_id = $2 AND command_id = $3 AND status = 'queued'";
    const OTHER: &str = "
        UPDATE device_commands SET status = 'delivered', acked_at = now(), ack_details = '{}'
        WHERE (tenant_id, command_id) = (
            SELECT tenant_id, command_id FROM device_commands
            WHERE status = 'queued' AND (tenant_id, device_id) <> ($1, $2) AND command_id <> $3
            LIMIT 1 FOR UPDATE SKIP LOCKED)";
    let mut same = false;
    for sql in [OTHER, SAME] {
        let write = async |part: &Transaction<'_>| {
            part.execute(sql, &[&&*device.tenant_id, &&*device.device_id, &command_id]).await
        };
        match undone(transaction, write).await? {
            Ok(0) => {}
            Ok(_) => return Ok(false),
            Err(other) => same |= is_same(answer, &other),
        }
    }
    Ok(same)
}

/// Two answers for the same reason. Trouble of the server's own has many forms.
fn is_same(one: &ServerError, other: &ServerError) -> bool {
    match one.meaning {
        Meaning::Refused => one.cause == other.cause,
        Meaning::NotNow | Meaning::Unfit => other.meaning != Meaning::Refused,
    }
}

/// The broker's facts of a message that there is not.
fn unused(origin: &Origin) -> Origin {
    Origin { stream_seq: fastrand::i64(i64::MIN..0) as u64, ..origin.clone() }
}

/// Writes behind a savepoint and takes it back.
async fn undone<T>(
    transaction: &mut Transaction<'_>,
    write: impl AsyncFn(&Transaction<'_>) -> Result<T, Error>,
) -> Result<Result<T, ServerError>, Failure> {
    let part = transaction.savepoint("probe").await?;
    let result = match write(&part).await.map_err(Failure::from) {
        Ok(done) => Ok(done),
        Err(Failure::Answered(answer)) => Err(answer),
        Err(away) => return Err(away),
    };
    part.rollback().await?;
    transaction.batch_execute("RELEASE probe").await?;
    Ok(result)
}
