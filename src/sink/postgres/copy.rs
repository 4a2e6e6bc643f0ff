//! Rows of `raw_events` as binary `COPY` takes them: the hottest loop of the component, so bytes are put where they belong
//! without a detour.
//!
//! Format: PostgreSQL manual, "COPY", section "Binary Format". Every field is its length (i32) and its bytes.

use bytes::{BufMut, Bytes};

use crate::delivery::Origin;
use crate::postgres::types::POSTGRES_EPOCH_US;
use ingest_core::validate::event::Event;

/// The columns of a row, in the order in which [`put_row`] writes them; what is not among them has its default.
pub(crate) const COLUMNS: &str =
    "received_at, event_ts, seq, stream_seq, stream, tenant_id, site_id, device_id, msg_type, topic, payload";
const COLUMN_COUNT: i16 = 11;

/// Signature, flags, and length of the header's extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Column count, lengths, and the fixed-width fields of a row; the version byte of jsonb.
const FIXED_BYTES: usize = 2 + 4 * COLUMN_COUNT as usize + 4 * 8 + 1;
/// First and only version of jsonb's binary form.
const JSONB_VERSION: u8 = 1;

/// A row as it is about to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// The broker facts that key it.
    pub origin: &'a Origin,
    /// When it happened, Unix microseconds.
    pub event_us: i64,
    /// The sender's sequence number.
    pub seq: i64,
    /// The tenant.
    pub tenant_id: &'a str,
    /// The site.
    pub site_id: &'a str,
    /// The device.
    pub device_id: &'a str,
    /// The message type.
    pub msg_type: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The payload, JSON.
    pub payload: &'a str,
}

impl<'a> Row<'a> {
    /// The row of an event.
    #[inline]
    pub(crate) fn of(origin: &'a Origin, event: &'a Event) -> Self {
        Self {
            origin,
            event_us: event.event_us,
            seq: event.seq,
            tenant_id: &event.device.key.tenant_id,
            site_id: &event.device.site_id,
            device_id: &event.device.key.device_id,
            msg_type: event.msg_type.as_str(),
            topic: &event.topic,
            payload: &event.payload,
        }
    }
}

/// The rows as one `COPY` stream.
pub(crate) fn encode<'a>(rows: impl Iterator<Item = Row<'a>> + Clone) -> Bytes {
    let bytes: usize = rows.clone().map(|row| row_bytes(&row)).sum();
    let mut buffer = Vec::with_capacity(HEADER.len() + bytes + 2);
    buffer.put_slice(HEADER);
    for row in rows {
        put_row(&mut buffer, &row);
    }
    buffer.put_i16(-1); // trailer
    buffer.into()
}

#[inline]
fn put_row(buffer: &mut Vec<u8>, row: &Row<'_>) {
    buffer.put_i16(COLUMN_COUNT);
    put_time(buffer, row.origin.received_us);
    put_time(buffer, row.event_us);
    put_i64(buffer, row.seq);
    put_i64(buffer, row.origin.stream_seq as i64);
    put_text(buffer, &row.origin.stream);
    put_text(buffer, row.tenant_id);
    put_text(buffer, row.site_id);
    put_text(buffer, row.device_id);
    put_text(buffer, row.msg_type);
    put_text(buffer, row.topic);
    put_len(buffer, row.payload.len() + 1);
    buffer.put_u8(JSONB_VERSION);
    buffer.put_slice(row.payload.as_bytes());
}

#[inline]
fn row_bytes(row: &Row<'_>) -> usize {
    FIXED_BYTES
        + row.origin.stream.len()
        + row.tenant_id.len()
        + row.site_id.len()
        + row.device_id.len()
        + row.msg_type.len()
        + row.topic.len()
        + row.payload.len()
}

fn put_time(buffer: &mut Vec<u8>, unix_us: i64) {
    put_i64(buffer, unix_us.saturating_sub(POSTGRES_EPOCH_US));
}

fn put_i64(buffer: &mut Vec<u8>, value: i64) {
    buffer.put_i32(8);
    buffer.put_i64(value);
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    put_len(buffer, text.len());
    buffer.put_slice(text.as_bytes());
}

/// A message is at most some megabytes (the broker's `max_payload`), so its fields fit an i32.
fn put_len(buffer: &mut Vec<u8>, len: usize) {
    buffer.put_i32(len as i32);
}
