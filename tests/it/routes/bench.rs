//! A publisher on a real broker with deliveries made by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use async_nats::jetstream;
use ingest_core::flow::disposition::Verdict;
use ingest_core::routes::route::{Matched, Route, Row, TenantRoutes};
use ingest_kit::{Nats, wait_for};
use ingest_node::testing::delivery::{Delivery, Origin, SettleHandle};
use ingest_node::testing::message::{Publish, RouteJobs, Settle};
use ingest_node::testing::metrics::Metrics;
use ingest_node::testing::nats::provision::Provisioner;
use ingest_node::testing::runtime::actor_guard::{ActorExit, Heartbeat};
use ingest_node::testing::runtime::readiness::Readiness;
use ingest_node::testing::runtime::spawn::SpawnContext;
use ingest_node::testing::sink::routes::{Config, Parts, Publisher};
use tokio::sync::mpsc::UnboundedReceiver;

/// Longer than anything takes that works.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A running publisher and its deliveries' verdicts.
pub(super) struct Bench {
    pub publisher: Addr<Publisher>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub verdicts: Verdicts,
    pub heartbeat: Arc<Heartbeat>,
    settle_handle: Arc<SettleHandle>,
    /// Keeps the receiver of the actor guard's exit.
    _exits: UnboundedReceiver<ActorExit>,
}

type Verdicts = Arc<Mutex<HashMap<u64, Verdict>>>;

/// Stands in for a consumer.
struct Book(Verdicts);

impl Actor for Book {
    type Context = Context<Self>;
}

impl Handler<Settle> for Book {
    type Result = ();

    fn handle(&mut self, settle: Settle, _: &mut Self::Context) {
        for settled in settle.settled {
            let before = self.0.lock().unwrap().insert(settled.slot, settled.verdict);
            assert_eq!(before, None, "delivery {} is settled twice", settled.slot);
        }
    }
}

impl Bench {
    pub(super) async fn new(nats: &Nats, config: Config) -> Self {
        let (client, verdicts) = (nats.connect().await, Verdicts::default());
        let heartbeat = Arc::new(Heartbeat::default());
        let (spawn, died) = SpawnContext::detached("publisher", heartbeat.clone());
        let (metrics, readiness) = (spawn.metrics.clone(), spawn.readiness.clone());
        let parts = Parts {
            config,
            streams: Provisioner::new(
                &client,
                &ingest_node::testing::nats::config::Config::default(),
                &metrics,
                &spawn.log,
            ),
            client,
            spawn,
        };
        let settle_handle = SettleHandle::new(Book(verdicts.clone()).start().recipient());
        Self {
            publisher: Publisher::new(parts).start(),
            metrics,
            readiness,
            verdicts,
            settle_handle,
            heartbeat,
            _exits: died,
        }
    }

    /// A delivery of message `stream_seq` of tenant `acme` that matches routes of these ids, to be settled under `slot`.
    pub(super) fn delivery(&self, slot: u64, stream_seq: u64, route_ids: &[u64]) -> RouteJobs {
        let origin = Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 1_770_628_523_045_000 };
        let guard = Delivery::new(origin.clone(), 1, "{}".into(), slot, self.settle_handle.clone()).into_guard();
        let (topic, payload) = ("tenant/acme/device/d1/telemetry".into(), "{}".into());
        let routes = matched(route_ids.iter().map(|id| route(*id, "{}")));
        RouteJobs { tenant_id: "acme".into(), origin, topic, payload, routes, guard }
    }

    pub(super) fn publish(&self, deliveries: Vec<RouteJobs>) {
        self.publisher.do_send(Publish { deliveries });
    }

    pub(super) fn settled(&self) -> usize {
        self.verdicts.lock().unwrap().len()
    }

    pub(super) async fn verdict(&self, slot: u64) -> Verdict {
        let of = || self.verdicts.lock().unwrap().get(&slot).copied();
        wait_for("a verdict", SOON, async || of().is_some()).await;
        of().unwrap()
    }
}

/// A route that matches everything.
pub(super) fn route(id: u64, destination_config: &str) -> Route {
    let id = id.to_string();
    let row = Row {
        id: &id,
        topic_filter: "#",
        destination_type: "webhook",
        destination_config: Some(destination_config),
        payload_filter: None,
    };
    Route::from_row(row).unwrap()
}

/// Routes that match everything, as a message matches them.
pub(super) fn matched(routes: impl Iterator<Item = Route>) -> Matched {
    let routes: TenantRoutes = routes.collect();
    Matched::of(&routes, "tenant/acme/device/d1/telemetry", "{}").unwrap()
}

/// Jobs in the stream.
pub(super) async fn stored(jetstream: &jetstream::Context) -> u64 {
    jetstream.get_stream("ROUTES").await.map_or(0, |stream| stream.cached_info().state.messages)
}
