//! Loads of good and bad messages, and their expected results.

use std::collections::BTreeMap;

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Node, wait_for};
use serde_json::{Map, Value, json};

use crate::world::{DEADLINE, World};

/// Devices and tenants of every load.
pub(crate) const DEVICES: usize = 50;
const TENANTS: usize = 5;

/// Messages, and what must become of them.
#[derive(Default)]
pub(crate) struct Workload {
    devices: Vec<Device>,
    pub messages: Vec<Outgoing>,
    good_by_tenant: BTreeMap<String, usize>,
    bad: BTreeMap<&'static str, u64>,
}

impl Workload {
    /// `count` good messages.
    pub(crate) fn good(count: usize) -> Self {
        Self::with_bad(count, 0)
    }

    /// `count` messages; in every full `one_in` one is bad, each in another way than the one before. 0 = none.
    pub(crate) fn with_bad(count: usize, one_in: usize) -> Self {
        let mut load =
            Self { devices: (0..DEVICES).map(|number| device(number, TENANTS)).collect(), ..Self::default() };
        load.devices.extend(Defect::strangers());
        let mut defects = Defect::ALL.iter().cycle();
        for number in 0..count {
            let device = &load.devices[number % DEVICES];
            if one_in > 0 && number % one_in == one_in - 1 {
                let (reason, make) = defects.next().expect("an endless cycle");
                load.messages.push(make(device, number as u64));
                *load.bad.entry(reason).or_default() += 1;
            } else {
                load.messages.push(telemetry(device, number as u64));
                *load.good_by_tenant.entry(device.tenant_id.clone()).or_default() += 1;
            }
        }
        load
    }

    /// How many must be stored.
    pub(crate) fn good_count(&self) -> usize {
        self.good_by_tenant.values().sum()
    }

    /// Registers the devices.
    pub(crate) async fn seed(&self, world: &World) {
        seed::devices(&world.database, &self.devices).await;
    }

    /// Waits until every good message has a point. Outbox entries of a killed node are written after their lease has
    /// expired.
    pub(crate) async fn wait_for_points(&self, world: &World) {
        wait_for("every point to be in InfluxDB", 3 * DEADLINE, async || {
            self.good_by_tenant.iter().all(|(tenant, count)| world.influx.point_count(&database(tenant)) >= *count)
        })
        .await;
    }

    /// Checks that every good message is stored exactly once, in PostgreSQL and in InfluxDB, and every bad one is in
    /// quarantine with its reason, once.
    pub(crate) async fn assert_all_there(&self, world: &World) {
        let good = self.good_count() as u64;
        assert_eq!(world.database.count("raw_events").await, good, "rows");
        let distinct = "(SELECT DISTINCT tenant_id, device_id, seq FROM raw_events WHERE accepted) AS messages";
        assert_eq!(world.database.count(distinct).await, good, "different messages among the rows");

        let by_reason = |rows: Vec<tokio_postgres::Row>| -> BTreeMap<String, u64> {
            rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect()
        };
        let expected: BTreeMap<String, u64> =
            self.bad.iter().map(|(reason, count)| (reason.to_string(), *count)).collect();
        let events = "SELECT reason, count(*) FROM quarantine_events GROUP BY 1";
        assert_eq!(by_reason(world.database.query(events, &[]).await), expected, "quarantined messages");
        let counters = "SELECT reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1";
        assert_eq!(by_reason(world.database.query(counters, &[]).await), expected, "counted rejections");

        self.wait_for_points(world).await;
        for (tenant, count) in &self.good_by_tenant {
            assert_eq!(world.influx.point_count(&database(tenant)), *count, "points of {tenant}");
        }
        let counts = world.influx.counts();
        assert_eq!((counts.lines_refused, counts.poison_lines, counts.untimed_lines), (0, 0, 0), "{counts:?}");
    }
}

/// The database of a tenant with a plain name.
pub(crate) fn database(tenant: &str) -> String {
    format!("telemetry_{tenant}")
}

/// Deliveries of the telemetry lane that a node has acknowledged.
pub(crate) async fn acked(node: &Node) -> u64 {
    node.metrics()
        .await
        .count("ingest_deliveries_settled_total", &[("consumer", "ingest-workers"), ("disposition", "ack")])
}

type Make = fn(&Device, u64) -> Outgoing;

/// Ways in which a message can be bad.
struct Defect;

impl Defect {
    const ALL: [(&str, Make); 18] = [
        ("BAD_ENVELOPE", |device, _| Outgoing::new(format!("telemetry.{}", device.tenant_id), "{\"topic\": nonsense")),
        ("BAD_TOPIC_FORMAT", |device, seq| outgoing(device, "telemetry", "", &payload(device, seq))),
        ("PAYLOAD_TOO_LARGE", |device, seq| with(device, seq, "pad", json!("x".repeat(9_000)))),
        ("INVALID_PAYLOAD", |device, seq| with(device, seq, "seq", json!("seven"))),
        ("UNSUPPORTED_ENVELOPE_VERSION", |device, seq| with(device, seq, "version", json!("2"))),
        ("TENANT_MISMATCH_TOPIC_VS_PAYLOAD", |device, seq| with(device, seq, "tenant_id", json!("another"))),
        ("MISSING_SITE_ID", |device, seq| with(device, seq, "site_id", Value::Null)),
        ("UNREGISTERED_DEVICE", |_, seq| from_stranger("nobody", seq)),
        ("SUBSCRIPTION_SUSPENDED", |_, seq| from_stranger("suspended", seq)),
        ("SUBSCRIPTION_EXPIRED", |_, seq| from_stranger("expired", seq)),
        ("DEVICE_REVOKED", |_, seq| from_stranger("revoked", seq)),
        ("SITE_MISMATCH_REGISTRY_VS_PAYLOAD", |device, seq| with(device, seq, "site_id", json!("elsewhere"))),
        ("TOKEN_NOT_SET_IN_REGISTRY", |_, seq| from_stranger("tokenless", seq)),
        ("TOKEN_MISSING", |device, seq| with(device, seq, "provision_token", Value::Null)),
        ("TOKEN_INVALID", |device, seq| with(device, seq, "provision_token", json!("another"))),
        ("TOO_MANY_METRICS", |device, seq| with(device, seq, "metrics", metrics((0..51).map(|n| format!("m{n}"))))),
        ("METRIC_KEY_TOO_LONG", |device, seq| with(device, seq, "metrics", metrics(["k".repeat(129)]))),
        ("METRIC_KEY_INVALID", |device, seq| with(device, seq, "metrics", metrics(["a\u{7}b".to_owned()]))),
    ];

    /// Devices whose every message is rejected.
    fn strangers() -> Vec<Device> {
        let mut devices: Vec<Device> = ["suspended", "expired", "revoked", "tokenless"].map(stranger).into();
        devices[0].subscription_status = Some("SUSPENDED".to_owned());
        devices[1].subscription_status = Some("EXPIRED".to_owned());
        devices[2].status = "REVOKED".to_owned();
        devices[3].token = None;
        devices
    }
}

fn stranger(name: &str) -> Device {
    Device::active("tenant-0", name, "tok-secret-of-a-stranger")
}

fn from_stranger(name: &str, seq: u64) -> Outgoing {
    telemetry(&stranger(name), seq)
}

fn with(device: &Device, seq: u64, key: &str, value: Value) -> Outgoing {
    let mut payload = payload(device, seq);
    payload[key] = value;
    outgoing(device, "telemetry", "telemetry", &payload)
}

fn metrics(keys: impl IntoIterator<Item = String>) -> Value {
    Value::Object(keys.into_iter().map(|key| (key, json!(1.5))).collect::<Map<_, _>>())
}

/// What makes PostgreSQL refuse the rows of [`poison`], and no others.
pub(crate) const NO_POISON: &str =
    "ALTER TABLE raw_events ADD CONSTRAINT no_poison CHECK (NOT payload -> 'metrics' ? 'poison')";

/// A good message whose row PostgreSQL refuses, see [`NO_POISON`].
pub(crate) fn poison(device: &Device, seq: u64) -> Outgoing {
    with(device, seq, "metrics", json!({ "poison": 1 }))
}
