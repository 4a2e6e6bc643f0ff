//! What the publisher does with jobs, and in the end a whole node.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use ingest_core::flow::disposition::Verdict;
use ingest_kit::{Nats, envelope, seed, wait_for};
use ingest_node::testing::message::{Drain, RouteJobs};
use ingest_node::testing::metrics::Outcome;
use ingest_node::testing::sink::routes::Config;

use super::bench::{Bench, SOON, matched, route, stored};
use crate::workload::Workload;
use crate::world::{LANES, World, drain, start};

#[actix::test]
async fn a_delivery_is_done_when_the_stream_has_its_jobs() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config::default()).await;
    let tenant_id = "acme north".into();
    bench.publish(vec![
        RouteJobs { tenant_id, payload: r#"{"seq":1}"#.into(), ..bench.delivery(0, 120, &[1, 2]) },
        bench.delivery(1, 121, &[1]),
    ]);
    assert_eq!((bench.verdict(0).await, bench.verdict(1).await), (Verdict::Done, Verdict::Done));
    assert_eq!(bench.metrics.routes.jobs.of(Outcome::Ok).get(), 3);
    assert!(!bench.heartbeat.read().1, "nothing is left to do");

    let stream = jetstream.get_stream("ROUTES").await.unwrap();
    let consumer = stream.create_consumer(jetstream::consumer::pull::Config::default()).await.unwrap();
    let jobs: Vec<_> = consumer.fetch().max_messages(3).messages().await.unwrap().collect().await;
    let told = |job: &Result<jetstream::Message, _>| {
        let job = job.as_ref().unwrap();
        let id = job.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
        (job.subject.to_string(), id, String::from_utf8(job.payload.to_vec()).unwrap())
    };
    let expected = |tenant: &str, sequence: u64, route: u64, payload: &str| {
        let subject = format!("routes.{}", tenant.replace(' ', "%20"));
        let id = format!("TELEMETRY:{sequence}:1770628523045000:{route}");
        let told = format!(
            r##"{{"id":{route},"topic_filter":"#","destination_type":"webhook","destination_config":{{}},"payload_filter":null}}"##
        );
        let topic = "tenant/acme/device/d1/telemetry";
        let body = format!(r#"{{"route":{told},"topic":"{topic}","payload":{payload},"tenant_id":"{tenant}"}}"#);
        (subject, id, body)
    };
    // While the stream is still being made the first jobs may be refused: then each tenant is probed with one of its jobs.
    let mut jobs: Vec<_> = jobs.iter().map(told).collect();
    jobs.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(
        jobs,
        [
            expected("acme north", 120, 1, r#"{"seq":1}"#),
            expected("acme north", 120, 2, r#"{"seq":1}"#),
            expected("acme", 121, 1, "{}"),
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
        bench.publish(vec![bench.delivery(slot, 120, &[1, 2])]);
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
        assert_eq!(stored(&jetstream).await, 2);
    }
}

#[actix::test]
async fn the_stream_is_made_for_work_and_an_existing_one_stays_as_it_is() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config { duplicate_window_secs: 300, ..Config::default() }).await;
    wait_for("the stream", SOON, async || jetstream.get_stream("ROUTES").await.is_ok()).await;
    let made = jetstream.get_stream("ROUTES").await.unwrap().cached_info().config.clone();
    assert_eq!(made.subjects, ["routes.>"]);
    assert_eq!((made.storage, made.retention), (stream::StorageType::File, stream::RetentionPolicy::WorkQueue));
    assert_eq!((made.discard, made.max_age), (stream::DiscardPolicy::New, Duration::ZERO), "it never drops a job");
    assert_eq!(made.duplicate_window, Duration::from_secs(300));

    // The node hears of it a moment after the test does.
    wait_for("the stream to be counted", SOON, async || bench.metrics.nats.streams_created.get() >= 1).await;
    assert_eq!(bench.metrics.nats.streams_created.get(), 1);

    let short = stream::Config {
        name: "ROUTES".into(),
        subjects: vec!["routes.>".into()],
        duplicate_window: Duration::from_secs(1),
        ..Default::default()
    };
    drop(bench);
    jetstream.delete_stream("ROUTES").await.unwrap();
    jetstream.create_stream(short).await.unwrap();
    let bench = Bench::new(&nats, Config::default()).await;
    wait_for("a remark", SOON, async || !bench.readiness.messages().is_empty()).await;
    assert!(bench.readiness.messages()[0].contains("duplicate_window"), "{:?}", bench.readiness.messages());
    let found = jetstream.get_stream("ROUTES").await.unwrap().cached_info().config.clone();
    assert_eq!((found.retention, found.duplicate_window), (stream::RetentionPolicy::Limits, Duration::from_secs(1)));
}

#[actix::test]
async fn a_stream_that_is_deleted_meanwhile_is_made_again_and_gets_its_jobs() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config::default()).await;
    wait_for("the stream", SOON, async || jetstream.get_stream("ROUTES").await.is_ok()).await;
    jetstream.delete_stream("ROUTES").await.unwrap();
    bench.publish(vec![bench.delivery(0, 1, &[1])]);
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
    bench.publish(vec![bench.delivery(0, 1, &[1, 2])]);
    assert_eq!(bench.verdict(0).await, Verdict::Retry);
    let jobs = &bench.metrics.routes.jobs;
    assert_eq!((jobs.of(Outcome::Ok).get(), jobs.of(Outcome::Failed).get()), (0, 2));

    nats.start_again();
    for slot in 1.. {
        bench.publish(vec![bench.delivery(slot, 1, &[1, 2])]);
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
    // Beside this payload the broker's limit of 1 MiB has no room for the configuration of the second route.
    let payload = format!(r#"{{"filler":"{}"}}"#, "x".repeat(1024 * 1024 - 40_000)).into();
    let long = format!(r#""{}""#, "x".repeat(60_000));
    let routes = matched([route(1, "{}"), route(2, &long), route(3, "{}")].into_iter());
    bench.publish(vec![RouteJobs { payload, routes, ..bench.delivery(0, 1, &[1]) }, bench.delivery(1, 2, &[1])]);
    assert_eq!((bench.verdict(0).await, bench.verdict(1).await), (Verdict::Done, Verdict::Done));
    assert_eq!(stored(&jetstream).await, 3);
    assert_eq!(bench.metrics.routes.jobs.of(Outcome::Failed).get(), 1);
    assert_eq!(bench.metrics.routes.jobs_given_up.get(), 1);
}

#[actix::test]
async fn a_drain_waits_for_the_streams_word_on_every_job() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let bench = Bench::new(&nats, Config { max_in_flight: 7, ..Config::default() }).await;
    let deliveries = (0..500).map(|number| bench.delivery(number, number, &[1, 2])).collect();
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
