//! Which message is meant: the newest that fits.

use async_nats::jetstream::message::StreamMessage;

use super::broker::{Broker, BrokerError};
use super::checked::{is_of_device, received_us};
use super::database::{Database, DatabaseError};
use super::stored::micros;
use crate::delivery::{Lane, Opening};
use crate::postgres::types::UnixMicros;
use ingest_core::message::device::{DeviceKey, DeviceRef};
use ingest_core::message::mqtt_subject;
use ingest_core::message::names::{subject_of_device, subject_token};

/// Most candidates of each source.
const MOST: i64 = 6;
/// Messages of a lane that are looked at, from the first that is not settled on.
const MOST_OPENED: usize = 500;

/// A message that may be the one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// When the broker took it, Unix microseconds.
    pub received_us: i64,
    /// Its stream.
    pub stream: String,
    /// Its number there.
    pub seq: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Its device.
    pub key: &'a DeviceKey,
    /// The sender's number; `None`: any.
    pub seq: Option<i64>,
    /// The earliest broker's time, Unix microseconds.
    pub since_us: i64,
}

/// Candidates among rows and quarantine events.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn stored(database: &Database, wanted: Wanted<'_>) -> Result<Vec<Candidate>, DatabaseError> {
    const SQL: &str = "
        (SELECT received_at, stream, stream_seq FROM raw_events
         WHERE received_at >= $3 AND tenant_id = $1 AND device_id = $2 AND ($4::bigint IS NULL OR seq = $4)
           AND stream IS NOT NULL AND stream_seq IS NOT NULL
         ORDER BY received_at DESC LIMIT $5)
        UNION
        (SELECT received_at, stream, stream_seq FROM quarantine_events
         WHERE ingested_at >= $3 AND tenant_id = $1 AND device_id = $2
           AND ($4::bigint IS NULL OR payload -> 'seq' = to_jsonb($4::bigint))
           AND received_at >= $3 AND stream IS NOT NULL AND stream_seq IS NOT NULL
         ORDER BY received_at DESC LIMIT $5)";
    let Wanted { key, seq, since_us } = wanted;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&&*key.tenant_id, &&*key.device_id, &UnixMicros(since_us), &seq, &MOST];
    let found = database.rows(SQL, &parameters).await?;
    let candidate = |row: &tokio_postgres::Row| Candidate {
        received_us: micros(row, 0).unwrap_or_default(),
        stream: row.get(1),
        seq: row.get::<_, i64>(2) as u64,
    };
    Ok(found.iter().map(candidate).collect())
}

/// Candidates in the streams of the lanes: the last messages of the device or, where the sender's number is asked for, those that
/// are not settled.
///
/// # Errors
/// See [`BrokerError`].
pub(super) async fn in_streams(
    broker: &Broker,
    lanes: impl Iterator<Item = Lane>,
    wanted: Wanted<'_>,
) -> Result<Vec<Candidate>, BrokerError> {
    let device = DeviceRef { tenant_id: &wanted.key.tenant_id, device_id: &wanted.key.device_id };
    let mut candidates = Vec::new();
    for lane in lanes {
        for filter in filters(lane, wanted.key) {
            let messages = match wanted.seq {
                None => broker.last(lane.stream(), &filter).await?.into_iter().collect(),
                Some(_) => not_settled(broker, lane, &filter).await?,
            };
            let its = messages.iter().filter(|message| is_of_device(lane, message, device, wanted.seq));
            candidates.extend(its.map(|message| Candidate {
                received_us: received_us(message),
                stream: lane.stream().to_owned(),
                seq: message.sequence,
            }));
        }
    }
    candidates.retain(|candidate| candidate.received_us >= wanted.since_us);
    Ok(candidates)
}

/// The first messages of a subject that the lane's consumer has not settled.
async fn not_settled(broker: &Broker, lane: Lane, filter: &str) -> Result<Vec<StreamMessage>, BrokerError> {
    let consumer = broker.consumer(lane).await?;
    let mut next = consumer.map_or(0, |consumer| consumer.ack_floor.stream_sequence) + 1;
    let mut messages = Vec::new();
    while messages.len() < MOST_OPENED {
        let Some(message) = broker.next(lane.stream(), next, filter).await? else { break };
        next = message.sequence + 1;
        messages.push(message);
    }
    Ok(messages)
}

/// The subjects that a lane's messages of this device have.
fn filters(lane: Lane, key: &DeviceKey) -> Vec<String> {
    let (tenant, device) = (&*key.tenant_id, &*key.device_id);
    match lane.opening() {
        Opening::Envelope => {
            let root = lane.subjects().trim_end_matches(".>");
            let of_device = subject_of_device(root, tenant, device);
            vec![format!("{of_device}.>"), of_device, format!("{root}.{}", subject_token(tenant))]
        }
        Opening::MqttPayload => mqtt_subject::of_device(tenant, device).into_iter().collect(),
    }
}
