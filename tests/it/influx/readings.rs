//! Messages with metrics of every kind, each with a time of its own.

use ingest_kit::envelope::{outgoing, payload, token};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use serde_json::{Value, json};

use super::expected::Expected;
use crate::world::World;

/// What ids of devices end in: what must be escaped, and what line protocol can't carry as it is.
const ENDS: [&str; 4] = ["", " ,=é", "\\", "%25"];

/// A fleet, and what it sends.
pub(super) struct Readings {
    pub devices: Vec<Device>,
    pub messages: Vec<Outgoing>,
}

impl Readings {
    /// `count` messages of `tenants` tenants, called `tenant-0` and so on.
    pub(super) fn of(tenants: usize, count: u64) -> Self {
        let devices = devices(tenants);
        let messages = (0..count).map(|number| reading(&devices, number)).collect();
        Self { devices, messages }
    }

    /// The messages that are one tenant's.
    pub(super) fn of_tenant(&self, tenant: &str) -> Vec<Outgoing> {
        self.messages.iter().filter(|message| message.is_of_tenant(tenant)).cloned().collect()
    }

    /// Registers the devices.
    pub(super) async fn seed(&self, world: &World) {
        seed::devices(&world.database, &self.devices).await;
    }

    /// The points that must come of all messages.
    pub(super) fn expected(&self) -> Expected {
        Expected::of(&self.messages)
    }
}

/// Twelve devices for each of so many tenants.
pub(super) fn devices(tenants: usize) -> Vec<Device> {
    let device = |number: usize| {
        let id = format!("dev-{number}{}", ENDS[number / tenants % ENDS.len()]);
        let mut device = Device::active(&format!("tenant-{}", number % tenants), &id, &token(number));
        device.site_id = format!("site {}", number % 3);
        device
    };
    (0..12 * tenants).map(device).collect()
}

/// The message of this number, of the device whose turn it is. Some are heartbeats.
pub(super) fn reading(devices: &[Device], number: u64) -> Outgoing {
    let device = &devices[number as usize % devices.len()];
    let kind = if number % 10 == 9 { "heartbeat" } else { "telemetry" };
    reading_of(device, kind, number, metrics(number))
}

/// A message with these metrics.
pub(super) fn reading_of(device: &Device, kind: &str, number: u64, metrics: Value) -> Outgoing {
    let mut payload = payload(device, number);
    payload["msg_type"] = kind.into();
    payload["metrics"] = metrics;
    outgoing(device, "telemetry", kind, &payload)
}

/// Under one name always the same kind of value.
fn metrics(number: u64) -> Value {
    let signed = number as i64;
    let floats = [1e-7, 2.5e21, -0.1, f64::MIN_POSITIVE, f64::MAX];
    let integers = [i64::MIN, i64::MAX, 0, 9_007_199_254_740_993, -1];
    json!({
        "battery_pct": 50.5 + (number % 40) as f64,
        "temp c,a=b\\c": (signed % 100) as f64 * 0.1 - 5.0,
        "tiny": floats[number as usize % 5],
        "rssi_dbm": -85 - signed % 10,
        "counter": integers[number as usize % 5],
        "uplink_ok": number.is_multiple_of(2),
        // What a point can't hold.
        "label": format!("reading {number}"),
        "missing": null,
        "position": {"x": 1.5, "y": [number]},
        "time": number,
        "site_id": 5.5,
    })
}
