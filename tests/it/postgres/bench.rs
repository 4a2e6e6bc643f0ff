//! A writer on a workbench: a database of its own, deliveries made by hand, and every verdict on record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use ingest_core::flow::disposition::Verdict;
use ingest_core::message::device::{Device, DeviceKey, Subscription};
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::message::msg_type::MsgType;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::{Event, QuarantineRecord};
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::delivery::{Delivery, Lane, Origin, SettleHandle};
use ingest_node::testing::message::{Settle, Write};
use ingest_node::testing::metrics::Metrics;
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::postgres::schema;
use ingest_node::testing::runtime::actor_guard::{ActorExit, Heartbeat};
use ingest_node::testing::runtime::readiness::Readiness;
use ingest_node::testing::runtime::secret::Secret;
use ingest_node::testing::runtime::spawn::SpawnContext;
use ingest_node::testing::sink::postgres::{Downstream, Duty, Parts, Writer};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::world::{open, pool_of};

/// 2026-02-09T09:15:23.045Z, when all hand-made messages were received, if not said otherwise.
pub(super) const RECEIVED_US: i64 = 1_770_628_523_045_000;

/// How long anything may take that takes no longer than a flush.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A fresh database with the node's schema.
pub(super) async fn migrated(cluster: &Postgres) -> Database {
    let database = cluster.create_database().await;
    migrate(&database).await;
    database
}

/// Migrates a database.
pub(super) async fn migrate(database: &Database) -> schema::MigrationReport {
    let mut client = open(&config(database)).await;
    schema::migrate(&mut client).await.unwrap_or_else(|e| panic!("{}", ingest_node::testing::runtime::error_chain(&e)))
}

/// Settings that make a writer quick to watch.
pub(super) fn config(database: &Database) -> Config {
    Config {
        url: Secret::new(database.url()),
        flush_interval_ms: 20,
        transaction_timeout_secs: 10,
        ..Config::default()
    }
}

/// A running writer.
pub(super) struct Bench {
    pub writer: Addr<Writer>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub verdicts: Verdicts,
    /// Keeps the receiver of the actor guard's exit.
    _exits: UnboundedReceiver<ActorExit>,
    settle_handles: Vec<Arc<SettleHandle>>,
    next_slot: AtomicU64,
}

/// The verdicts of all deliveries of a bench, by slot.
#[derive(Clone, Default)]
pub(super) struct Verdicts(Arc<Mutex<HashMap<u64, Verdict>>>);

impl Verdicts {
    pub(super) fn of(&self, slot: u64) -> Option<Verdict> {
        self.0.lock().unwrap().get(&slot).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.0.lock().unwrap().values().filter(|one| **one == verdict).count()
    }
}

/// Stands in for a consumer.
struct Book(Verdicts);

impl Actor for Book {
    type Context = Context<Self>;
}

impl Handler<Settle> for Book {
    type Result = ();

    fn handle(&mut self, settle: Settle, _: &mut Self::Context) {
        for settled in settle.settled {
            let before = self.0.0.lock().unwrap().insert(settled.slot, settled.verdict);
            assert_eq!(before, None, "delivery {} is settled twice", settled.slot);
        }
    }
}

impl Bench {
    pub(super) fn new(database: &Database) -> Self {
        Self::with(config(database), Downstream::default())
    }

    pub(super) fn with(config: Config, downstream: Downstream) -> Self {
        Self::on_thread(&Arbiter::current(), config, downstream)
    }

    /// With the writer on a thread of its own.
    pub(super) fn on_thread(thread: &ArbiterHandle, config: Config, downstream: Downstream) -> Self {
        let (spawn, died) = SpawnContext::detached("writer", Arc::new(Heartbeat::default()));
        let (metrics, readiness) = (spawn.metrics.clone(), spawn.readiness.clone());
        let duty = Duty::Messages;
        let parts = Parts { spawn, duty, pool: pool_of(&config), config, outbox: None, downstream };
        let writer = Writer::start_in_arbiter(thread, |_| Writer::new(parts));
        let verdicts = Verdicts::default();
        let book = Book(verdicts.clone()).start();
        let settle_handles = Lane::all().map(|_lane| SettleHandle::new(book.clone().recipient())).collect();
        Self { writer, metrics, readiness, verdicts, _exits: died, settle_handles, next_slot: AtomicU64::new(0) }
    }

    /// A delivery of the message with this sequence number, and the slot it is settled under.
    pub(super) fn delivery(&self, lane: Lane, stream_seq: u64, attempt: u32) -> (Delivery, u64) {
        let slot = self.next_slot.fetch_add(1, Ordering::Relaxed);
        let settle_handle = self.settle_handles[lane.index()].clone();
        (Delivery::new(origin(lane, stream_seq), attempt, "{}".into(), slot, settle_handle), slot)
    }

    /// Sends one event; the slot.
    pub(super) fn write_event(&self, stream_seq: u64, attempt: u32, event: Event) -> u64 {
        let (delivery, slot) = self.delivery(Lane::TELEMETRY, stream_seq, attempt);
        self.writer.do_send(Write { events: vec![(delivery, event)], ..Write::default() });
        slot
    }

    /// Sends one refusal; the slot.
    pub(super) fn write_refusal(&self, stream_seq: u64, attempt: u32, refusal: QuarantineRecord) -> u64 {
        let (delivery, slot) = self.delivery(Lane::TELEMETRY, stream_seq, attempt);
        self.writer.do_send(Write { rejections: vec![(delivery, refusal)], ..Write::default() });
        slot
    }

    /// Waits for the verdict of a delivery.
    pub(super) async fn verdict(&self, slot: u64) -> Verdict {
        wait_for("a verdict", SOON, async || self.verdicts.of(slot).is_some()).await;
        self.verdicts.of(slot).unwrap()
    }

    /// Waits until so many deliveries are settled.
    pub(super) async fn settled(&self, count: usize) {
        let what = format!("{count} verdicts");
        wait_for(&what, Duration::from_secs(60), async || self.verdicts.len() >= count).await;
    }
}

/// The broker's facts about a message.
pub(super) fn origin(lane: Lane, stream_seq: u64) -> Origin {
    Origin { stream: lane.stream().into(), stream_seq, received_us: RECEIVED_US + stream_seq as i64 }
}

/// A registered device of tenant `acme`.
pub(super) fn device(device_id: &str) -> Arc<Device> {
    Arc::new(Device {
        key: DeviceKey::new("acme", device_id),
        site_id: "site-1".into(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit: 20,
    })
}

/// A telemetry event with this payload.
pub(super) fn event(payload: &str) -> Event {
    Event {
        device: device("d1"),
        topic: "tenant/acme/device/d1/telemetry".into(),
        msg_type: MsgType::Telemetry,
        seq: 7,
        event_us: RECEIVED_US - 1_000_000,
        payload: payload.to_owned().into(),
        line: None,
        location: None,
        metrics_signature: 0,
        routes: None,
    }
}

/// A refused message of a tenant.
pub(super) fn refusal(tenant_id: &str, reason: Reason) -> QuarantineRecord {
    QuarantineRecord {
        rejection: Rejection::new(reason, "why"),
        topic: format!("tenant/{tenant_id}/device/d1/telemetry"),
        tenant_id: Some(tenant_id.to_owned()),
        site_id: Some("site-1".to_owned()),
        device_id: Some("d1".to_owned()),
        msg_type: Some("telemetry".to_owned()),
        of_unknown_tenant: false,
        event_us: Some(RECEIVED_US),
        content: Content::Json(r#"{"metrics":{}}"#.to_owned()),
    }
}
