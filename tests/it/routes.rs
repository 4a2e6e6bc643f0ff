//! The room of the route jobs: a publisher on a real broker with deliveries made by hand, and in the end a whole node.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use ingest_kit::{Nats, envelope, seed, wait_for};
use ingest_node::core::disposition::Verdict;
use ingest_node::core::event::Job;
use ingest_node::delivery::{Delivery, Desk, Lane, Origin};
use ingest_node::health::Health;
use ingest_node::lifeline::{Death, Lifeline, Pulse};
use ingest_node::message::{Drain, Publish, RouteJobs, Settle};
use ingest_node::metrics::{Metrics, Outcome};
use ingest_node::sink::routes::{Config, Parts, Publisher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::workload::Workload;
use crate::world::{LANES, World, drain, start};

/// Longer than anything takes that works.
const SOON: Duration = Duration::from_secs(20);

/// A running publisher and its deliveries' verdicts.
struct Bench {
    publisher: Addr<Publisher>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    verdicts: Verdicts,
    desk: Arc<Desk>,
    pulse: Arc<Pulse>,
    /// Keeps the lifeline's end.
    _deaths: UnboundedReceiver<Death>,
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
    async fn new(nats: &Nats, config: Config) -> Self {
        let (metrics, health, verdicts) = (Metrics::new(), Health::new(), Verdicts::default());
        let (deaths, died) = unbounded_channel();
        let pulse = Arc::new(Pulse::default());
        let parts = Parts {
            config,
            client: nats.connect().await,
            metrics: metrics.clone(),
            health: health.clone(),
            log: slog::Logger::root(slog::Discard, slog::o!()),
            lifeline: Lifeline::new("publisher", 1, deaths, pulse.clone()),
        };
        let desk = Desk::new(Lane::Telemetry, Book(verdicts.clone()).start().recipient());
        Self { publisher: Publisher::new(parts).start(), metrics, health, verdicts, desk, pulse, _deaths: died }
    }

    /// A delivery of message `stream_seq` with its jobs, to be settled under `slot`.
    fn delivery(&self, slot: u64, stream_seq: u64, jobs: Vec<Job>) -> RouteJobs {
        let origin = Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 1_770_628_523_045_000 };
        let ticket = Delivery::new(origin.clone(), 1, "{}".into(), slot, self.desk.clone()).into_ticket();
        RouteJobs { tenant_id: "acme".into(), origin, jobs, ticket }
    }

    fn publish(&self, deliveries: Vec<RouteJobs>) {
        self.publisher.do_send(Publish { deliveries });
    }

    fn settled(&self) -> usize {
        self.verdicts.lock().unwrap().len()
    }

    async fn verdict(&self, slot: u64) -> Verdict {
        let of = || self.verdicts.lock().unwrap().get(&slot).copied();
        wait_for("a verdict", SOON, async || of().is_some()).await;
        of().unwrap()
    }
}

fn job(route: u64) -> Job {
    Job { route_id: route.to_string(), body: format!(r#"{{"route":{{"id":{route}}}}}"#) }
}

async fn stored(jetstream: &jetstream::Context) -> u64 {
    jetstream.get_stream("ROUTES").await.map_or(0, |stream| stream.cached_info().state.messages)
}

#[actix::test]
async fn a_delivery_is_done_when_the_stream_has_its_jobs() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config::default()).await;
    let tenant_id = "acme north".into();
    bench.publish(vec![
        RouteJobs { tenant_id, ..bench.delivery(0, 120, vec![job(1), job(2)]) },
        bench.delivery(1, 121, vec![job(1)]),
    ]);
    assert_eq!((bench.verdict(0).await, bench.verdict(1).await), (Verdict::Done, Verdict::Done));
    assert_eq!(bench.metrics.route_jobs.of(Outcome::Ok).get(), 3);
    assert!(!bench.pulse.read().1, "nothing is left to do");

    let stream = jetstream.get_stream("ROUTES").await.unwrap();
    let consumer = stream.create_consumer(jetstream::consumer::pull::Config::default()).await.unwrap();
    let jobs: Vec<_> = consumer.fetch().max_messages(3).messages().await.unwrap().collect().await;
    let told = |job: &Result<jetstream::Message, _>| {
        let job = job.as_ref().unwrap();
        let id = job.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
        (job.subject.to_string(), id, String::from_utf8(job.payload.to_vec()).unwrap())
    };
    let expected = |subject: &str, id: &str, body: &str| (subject.to_owned(), id.to_owned(), body.to_owned());
    assert_eq!(
        jobs.iter().map(told).collect::<Vec<_>>(),
        [
            expected("routes.acme%20north", "TELEMETRY:120:1770628523045000:1", r#"{"route":{"id":1}}"#),
            expected("routes.acme%20north", "TELEMETRY:120:1770628523045000:2", r#"{"route":{"id":2}}"#),
            expected("routes.acme", "TELEMETRY:121:1770628523045000:1", r#"{"route":{"id":1}}"#),
        ]
    );
}

#[actix::test]
async fn a_redelivery_makes_no_second_job() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    for slot in 0..3 {
        // Another replica, or the same one after a crash, gets it again.
        let bench = Bench::new(&nats, Config::default()).await;
        bench.publish(vec![bench.delivery(slot, 120, vec![job(1), job(2)])]);
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
        assert_eq!(stored(&jetstream).await, 2);
    }
}

#[actix::test]
async fn the_stream_is_made_for_work_and_an_existing_one_stays_as_it_is() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    Bench::new(&nats, Config { duplicate_window_secs: 300, ..Config::default() }).await;
    wait_for("the stream", SOON, async || jetstream.get_stream("ROUTES").await.is_ok()).await;
    let made = jetstream.get_stream("ROUTES").await.unwrap().cached_info().config.clone();
    assert_eq!(made.subjects, ["routes.>"]);
    assert_eq!((made.storage, made.retention), (stream::StorageType::File, stream::RetentionPolicy::WorkQueue));
    assert_eq!((made.max_age, made.duplicate_window), (Duration::from_secs(86_400), Duration::from_secs(300)));

    let short = stream::Config {
        name: "ROUTES".into(),
        subjects: vec!["routes.>".into()],
        duplicate_window: Duration::from_secs(1),
        ..Default::default()
    };
    jetstream.delete_stream("ROUTES").await.unwrap();
    jetstream.create_stream(short).await.unwrap();
    let bench = Bench::new(&nats, Config::default()).await;
    wait_for("a remark", SOON, async || !bench.health.notes().is_empty()).await;
    assert!(bench.health.notes()[0].contains("duplicate_window"), "{:?}", bench.health.notes());
    let found = jetstream.get_stream("ROUTES").await.unwrap().cached_info().config.clone();
    assert_eq!((found.retention, found.duplicate_window), (stream::RetentionPolicy::Limits, Duration::from_secs(1)));
}

#[actix::test]
async fn a_stream_that_is_deleted_meanwhile_is_made_anew_and_gets_its_jobs() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config::default()).await;
    wait_for("the stream", SOON, async || jetstream.get_stream("ROUTES").await.is_ok()).await;
    jetstream.delete_stream("ROUTES").await.unwrap();
    bench.publish(vec![bench.delivery(0, 1, vec![job(1)])]);
    assert_eq!(bench.verdict(0).await, Verdict::Done);
    assert_eq!(stored(&jetstream).await, 1);
}

#[actix::test]
async fn what_a_broker_that_is_away_does_not_take_is_handed_back_and_never_counted_as_done() {
    let mut nats = Nats::start();
    let bench = Bench::new(&nats, Config { publish_timeout_secs: 1, retry_secs: 1, ..Config::default() }).await;
    let jetstream = nats.jetstream().await;
    wait_for("the stream", SOON, async || jetstream.get_stream("ROUTES").await.is_ok()).await;
    nats.kill();
    bench.publish(vec![bench.delivery(0, 1, vec![job(1), job(2)])]);
    assert_eq!(bench.verdict(0).await, Verdict::Retry);
    let jobs = &bench.metrics.route_jobs;
    assert_eq!((jobs.of(Outcome::Ok).get(), jobs.of(Outcome::Failed).get()), (0, 2));

    nats.start_again();
    for slot in 1.. {
        bench.publish(vec![bench.delivery(slot, 1, vec![job(1), job(2)])]);
        if bench.verdict(slot).await == Verdict::Done {
            break;
        }
        assert!(slot < 30, "the broker is back and takes nothing");
    }
    assert_eq!(stored(&nats.jetstream().await).await, 2, "what the first attempt left behind is the same two jobs");
}

#[actix::test]
async fn a_job_that_the_stream_can_never_take_holds_up_nothing() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config::default()).await;
    let beyond_max_payload = Job { route_id: "2".into(), body: "x".repeat(2 * 1024 * 1024) };
    bench.publish(vec![
        bench.delivery(0, 1, vec![job(1), beyond_max_payload, job(3)]),
        bench.delivery(1, 2, vec![job(1)]),
    ]);
    assert_eq!((bench.verdict(0).await, bench.verdict(1).await), (Verdict::Done, Verdict::Done));
    assert_eq!(stored(&jetstream).await, 3);
    assert_eq!(bench.metrics.route_jobs.of(Outcome::Failed).get(), 1);
}

#[actix::test]
async fn a_drain_waits_for_the_streams_word_on_every_job() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config { max_in_flight: 7, ..Config::default() }).await;
    let deliveries = (0..500).map(|number| bench.delivery(number, number, vec![job(1), job(2)])).collect();
    bench.publish(deliveries);
    bench.publisher.send(Drain).await.unwrap();
    assert_eq!(stored(&jetstream).await, 1_000);
    wait_for("all verdicts", SOON, async || bench.settled() == 500).await;
    assert!(bench.verdicts.lock().unwrap().values().all(|verdict| *verdict == Verdict::Done));
    bench.publisher.send(Drain).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_publisher_before_it_settles_loses_no_job_and_makes_none_twice() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::good(1_000);
    load.seed(&world).await;
    let tenants: std::collections::BTreeSet<_> = (0..50).map(|number| envelope::device(number, 5).tenant_id).collect();
    let routes: Vec<_> = tenants.iter().map(|tenant| seed::catch_all_route(tenant)).collect();
    seed::routes(&world.database, &routes).await;
    world.publish(load.messages.clone()).await;

    let node = start(world.node().env("INGEST_FAILPOINTS", "publisher=panic@1")).await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    let restarts = [("actor", "publisher")];
    assert_eq!(node.metrics().await.count("ingest_actor_restarts_total", &restarts), 1, "it never panicked");
    assert_eq!(world.database.count("raw_events").await, 1_000);
    assert_eq!(stored(&world.jetstream).await, 1_000);
    drain(node).await;
}
