//! Rows of `raw_events` as binary `COPY` takes them: the hottest loop of the room, so bytes are put where they belong
//! without a detour.
//!
//! Format: PostgreSQL manual, "COPY", section "Binary Format". Every field is its length (i32) and its bytes.

use bytes::{BufMut, Bytes};

use super::types::POSTGRES_EPOCH_US;
use crate::core::event::Event;
use crate::delivery::Origin;

/// The columns of a row, in the order in which [`put_row`] writes them; what is not among them has its default.
pub const COLUMNS: &str =
    "received_at, event_ts, seq, stream_seq, stream, tenant_id, site_id, device_id, msg_type, topic, payload";
const COLUMN_COUNT: i16 = 11;

/// Signature, flags, and length of the header's extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Column count, lengths, and the fixed-width fields of a row; the version byte of jsonb.
const FIXED_BYTES: usize = 2 + 4 * COLUMN_COUNT as usize + 4 * 8 + 1;
/// First and only version of jsonb's binary form.
const JSONB_VERSION: u8 = 1;

/// The rows as one `COPY` stream.
pub fn encode<'a>(rows: impl Iterator<Item = (&'a Origin, &'a Event)> + Clone) -> Bytes {
    let bytes: usize = rows.clone().map(|(origin, event)| row_bytes(origin, event)).sum();
    let mut buffer = Vec::with_capacity(HEADER.len() + bytes + 2);
    buffer.put_slice(HEADER);
    for (origin, event) in rows {
        put_row(&mut buffer, origin, event);
    }
    buffer.put_i16(-1); // trailer
    buffer.into()
}

fn put_row(buffer: &mut Vec<u8>, origin: &Origin, event: &Event) {
    let key = &event.device.key;
    buffer.put_i16(COLUMN_COUNT);
    put_time(buffer, origin.received_us);
    put_time(buffer, event.event_us);
    put_i64(buffer, event.seq);
    put_i64(buffer, origin.stream_seq as i64);
    put_text(buffer, &origin.stream);
    put_text(buffer, &key.tenant_id);
    put_text(buffer, &event.device.site_id);
    put_text(buffer, &key.device_id);
    put_text(buffer, event.msg_type.as_str());
    put_text(buffer, &event.topic);
    put_len(buffer, event.payload.len() + 1);
    buffer.put_u8(JSONB_VERSION);
    buffer.put_slice(event.payload.as_bytes());
}

fn row_bytes(origin: &Origin, event: &Event) -> usize {
    let key = &event.device.key;
    FIXED_BYTES
        + origin.stream.len()
        + key.tenant_id.len()
        + event.device.site_id.len()
        + key.device_id.len()
        + event.msg_type.as_str().len()
        + event.topic.len()
        + event.payload.len()
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
