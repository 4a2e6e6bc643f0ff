//! A derived state writer on a real PostgreSQL, with events made by hand.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use ingest_core::message::device::{Device, DeviceKey, Subscription};
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::message::msg_type::MsgType;
use ingest_core::validate::event::Event;
use ingest_kit::{Database, Postgres, seed};
use ingest_node::testing::message::{CommittedEvent, Drain, Observe};
use ingest_node::testing::metrics::{Metrics, Outcome};
use ingest_node::testing::postgres::{self, schema};
use ingest_node::testing::runtime::actor_guard::{ActorExit, Heartbeat};
use ingest_node::testing::runtime::secret::Secret;
use ingest_node::testing::runtime::spawn::SpawnContext;
use ingest_node::testing::sink::state::{Config, DerivedStateWriter, Parts};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::world::{open, pool_of};

/// 2026-02-09T09:15:20Z.
pub(super) const T0: i64 = 1_770_628_520_000_000;
pub(super) const SECOND: i64 = 1_000_000;
/// Longer than anything takes that works.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A running derived state writer. It flushes only when it is told to, unless a test says otherwise.
pub(super) struct Bench {
    pub state_writer: Addr<DerivedStateWriter>,
    pub metrics: Arc<Metrics>,
    pub heartbeat: Arc<Heartbeat>,
    /// Keeps the receiver of the actor guard's exit.
    _exits: UnboundedReceiver<ActorExit>,
}

impl Bench {
    pub(super) fn new(database: &Database) -> Self {
        Self::with(database, Config { flush_interval_secs: 3_600, ..Config::default() })
    }

    pub(super) fn with(database: &Database, config: Config) -> Self {
        let heartbeat = Arc::new(Heartbeat::default());
        let (spawn, died) = SpawnContext::detached("state-writer", heartbeat.clone());
        let metrics = spawn.metrics.clone();
        // Any number that is another one for each.
        let node_id = format!("00000000-0000-4000-8000-{:012x}", fastrand::u32(..)).into();
        let parts = Parts { spawn, config, pool: pool_of(&postgres_config(database)), node_id };
        Self { state_writer: DerivedStateWriter::new(parts).start(), metrics, heartbeat, _exits: died }
    }

    pub(super) fn observe(&self, events: impl IntoIterator<Item = Event>) {
        self.observe_at(events.into_iter().map(|event| (event.event_us + SECOND, event)));
    }

    /// Events of messages that came for the first time, each with the broker's time of its message.
    pub(super) fn observe_at(&self, events: impl IntoIterator<Item = (i64, Event)>) {
        let committed = |(received_us, event)| CommittedEvent { received_us, is_new: true, event };
        self.state_writer.do_send(Observe { events: events.into_iter().map(committed).collect() });
    }

    /// Flushes everything: what a drain does too.
    pub(super) async fn flush(&self) {
        self.state_writer.send(Drain).await.unwrap();
    }

    pub(super) fn updates(&self) -> (u64, u64) {
        let updates = &self.metrics.state.updates;
        (updates.of(Outcome::Ok).get(), updates.of(Outcome::Failed).get())
    }
}

pub(super) fn postgres_config(database: &Database) -> postgres::Config {
    postgres::Config { url: Secret::new(database.url()), transaction_timeout_secs: 10, ..Default::default() }
}

/// A database with the node's schema and devices of tenant `acme`.
pub(super) async fn database(cluster: &Postgres, devices: &[&str]) -> Database {
    let database = cluster.create_database().await;
    let mut client = open(&postgres_config(&database)).await;
    schema::migrate(&mut client).await.unwrap_or_else(|e| panic!("{}", ingest_node::testing::runtime::error_chain(&e)));
    let devices: Vec<_> = devices.iter().map(|id| seed::Device::active("acme", id, "tok")).collect();
    seed::devices(&database, &devices).await;
    database
}

pub(super) fn device(id: &str, sensor_limit: u32) -> Arc<Device> {
    Arc::new(Device {
        key: DeviceKey::new("acme", id),
        site_id: "site-1".into(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit,
    })
}

pub(super) fn event(id: &str, seconds: i64, metrics: &str) -> Event {
    let names: Vec<&str> =
        metrics.split(['{', ',']).filter_map(|part| part.split_once(':')).map(|(name, _)| name).collect();
    Event {
        device: device(id, 20),
        topic: format!("tenant/acme/device/{id}/telemetry").into(),
        msg_type: MsgType::Telemetry,
        seq: 1,
        event_us: T0 + seconds * SECOND,
        payload: format!(r#"{{"metrics":{metrics}}}"#).into(),
        line: None,
        location: None,
        // The same for the same names.
        metrics_signature: names.join(",").bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte)),
        routes: None,
    }
}

pub(super) fn metrics(range: std::ops::Range<usize>) -> String {
    let members: Vec<_> = range.map(|number| format!(r#""m{number:02}":{number}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// `metric=value@seconds` of a device's sensors, in the order of their names.
pub(super) async fn sensors(database: &Database, id: &str) -> Vec<String> {
    let sql =
        "SELECT metric_key, last_value::text, last_value_text, (extract(epoch FROM last_seen_at) * 1000000)::bigint
        FROM device_sensors WHERE tenant_id = 'acme' AND device_id = $1 ORDER BY metric_key COLLATE \"C\"";
    let rows = database.query(sql, &[&id]).await;
    let told = |row: &tokio_postgres::Row| {
        let (key, number, text): (String, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert!(number.is_none() || text.is_none(), "{key} has two values");
        let value = number.or(text.map(|text| format!("'{text}'"))).unwrap_or_default();
        let seconds = row.get::<_, Option<i64>>(3).map(|us| (us - T0) / SECOND);
        format!("{key}={value}@{}", seconds.map_or("never".to_owned(), |seconds| seconds.to_string()))
    };
    rows.iter().map(told).collect()
}

/// A session that hears what nodes are told of changed devices.
pub(super) async fn listen(database: &Database) -> (tokio_postgres::Client, UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await.unwrap();
    let (tell, told) = unbounded_channel();
    actix_rt::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let tokio_postgres::AsyncMessage::Notification(note) = message {
                let _ = tell.send(note.payload().to_owned());
            }
        }
    });
    client.batch_execute("LISTEN ingest_invalidate").await.unwrap();
    (client, told)
}

pub(super) async fn position(database: &Database, id: &str) -> (Option<f64>, Option<f64>) {
    let sql = "SELECT latitude, longitude FROM device_registry WHERE tenant_id = 'acme' AND device_id = $1";
    let rows = database.query(sql, &[&id]).await;
    (rows[0].get(0), rows[0].get(1))
}
