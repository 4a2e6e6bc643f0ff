//! Catching up: a writer that ended without a last flush has left rows whose messages nobody has on record. Without them their
//! numbers would be missing. So the newest rows are read back once, where there may have been such a writer.

use std::collections::HashMap;

use tokio_postgres::{Client, Error};

use super::heard::Row;
use crate::postgres::types::UnixMicros;
use ingest_core::message::device::DeviceKey;
use ingest_core::message::msg_type::MsgType;
use ingest_core::state::continuity::{Heard, Message};

/// Rows that are read back: what a busy node stores between two flushes.
const ROWS: i64 = 50_000;

/// What the newest rows say of a device.
#[derive(Clone, Debug)]
pub(super) struct Reread {
    key: DeviceKey,
    site_id: String,
    seen_us: i64,
    heartbeat_us: Option<i64>,
    telemetry_us: Option<i64>,
    heard: Heard,
}

impl Reread {
    /// What is written of it.
    pub(super) fn row(&self) -> Row<'_> {
        let Self { key, site_id, seen_us, heartbeat_us, telemetry_us, heard } = self;
        let (seen_us, heartbeat_us, telemetry_us) = (*seen_us, *heartbeat_us, *telemetry_us);
        Row { key, site_id, seen_us, heartbeat_us, telemetry_us, heard }
    }
}

/// What the newest rows say, device by device; nothing where every other writer has ended as it should.
pub(super) async fn read(client: &Client, node_id: &str) -> Result<Vec<Reread>, Error> {
    const SQL: &str = "
        SELECT tenant_id::text, device_id::text, site_id::text, msg_type::text, seq::bigint, received_at::timestamptz
        FROM raw_events
        WHERE received_at > (SELECT max(received_at) FROM raw_events) - interval '1 hour'
            AND accepted AND seq IS NOT NULL AND tenant_id IS NOT NULL AND device_id IS NOT NULL
            AND EXISTS (SELECT FROM ingest_state_writers WHERE node_id <> $1::text::uuid)
        ORDER BY received_at DESC LIMIT $2";
    let rows = client.query(SQL, &[&node_id, &ROWS]).await?;
    let mut devices: HashMap<DeviceKey, Reread> = HashMap::new();
    for row in rows.iter().rev() {
        let msg_type = row.get::<_, Option<&str>>(3).unwrap_or_default();
        let (seq, received_us): (i64, i64) = (row.get(4), row.get::<_, UnixMicros>(5).0);
        let is_heartbeat = msg_type == MsgType::Heartbeat.as_str();
        // Most of them are on record.
        let message = Message { seq, received_us, is_new: false, is_reading: !is_heartbeat };
        let key = DeviceKey::new(row.get::<_, &str>(0), row.get::<_, &str>(1));
        let device = devices.entry(key.clone()).or_insert_with(|| Reread {
            key,
            site_id: String::new(),
            seen_us: received_us,
            heartbeat_us: None,
            telemetry_us: None,
            heard: Heard::default(),
        });
        row.get::<_, Option<&str>>(2).unwrap_or_default().clone_into(&mut device.site_id);
        device.seen_us = received_us;
        if is_heartbeat {
            device.heartbeat_us = Some(received_us);
        }
        if msg_type == MsgType::Telemetry.as_str() {
            device.telemetry_us = Some(received_us);
        }
        device.heard.add(message);
    }
    let mut devices: Vec<Reread> = devices.into_values().collect();
    devices.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(devices)
}
