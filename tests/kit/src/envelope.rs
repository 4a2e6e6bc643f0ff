//! Envelopes as a bridge publishes them.

use ingest_core::message::names::subject_of_device;
use serde_json::{Value, json};

use crate::jetstream::Outgoing;
use crate::seed::Device;

/// The token of device `number` of [`device`].
pub fn token(number: usize) -> String {
    format!("tok-secret-{number}")
}

/// An active device of a fleet: `dev-0007` of `tenant-2` where there are five tenants.
pub fn device(number: usize, tenants: usize) -> Device {
    Device::active(&format!("tenant-{}", number % tenants), &format!("dev-{number:04}"), &token(number))
}

/// The time of message `seq`, within one day: a millisecond each from midnight on, as ISO 8601 text.
pub fn timestamp(seq: u64) -> String {
    let ms = seq % 86_400_000;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("2026-11-21T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
}

/// The payload of a good telemetry message of five metrics; `seq` makes its time and its values.
pub fn payload(device: &Device, seq: u64) -> Value {
    json!({
        "version": "1",
        "ts": timestamp(seq),
        "tenant_id": device.tenant_id,
        "site_id": device.site_id,
        "device_id": device.device_id,
        "msg_type": "telemetry",
        "seq": seq,
        "provision_token": device.token,
        "metrics": {
            "battery_pct": 50.5 + (seq % 40) as f64,
            "temp_c": 20.25 + (seq % 10) as f64,
            "rssi_dbm": -85,
            "snr_db": 12.4,
            "uplink_ok": seq.is_multiple_of(2),
        },
    })
}

/// A message about a device: `lane` is the subject's first part, `kind` the rest of the topic.
pub fn outgoing(device: &Device, lane: &str, kind: &str, payload: &Value) -> Outgoing {
    let (tenant, id) = (&device.tenant_id, &device.device_id);
    let envelope = json!({
        "topic": format!("tenant/{tenant}/device/{id}/{kind}"),
        "tenant_id": tenant,
        "device_id": id,
        "msg_type": kind,
        "username": "",
        "ts": 1_795_219_200_000_u64,
        "payload": payload,
    });
    Outgoing::new(subject_of_device(lane, tenant, id), envelope.to_string())
}

/// A good telemetry message.
pub fn telemetry(device: &Device, seq: u64) -> Outgoing {
    outgoing(device, "telemetry", "telemetry", &payload(device, seq))
}
