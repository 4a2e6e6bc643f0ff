//! The stream takes no jobs: their deliveries are held and handed back, all others go on.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use ingest_core::flow::disposition::Verdict;
use ingest_kit::jetstream::create_streams;
use ingest_kit::{Nats, envelope, seed, wait_for};
use ingest_node::testing::message::RouteJobs;
use ingest_node::testing::metrics::Outcome;
use ingest_node::testing::sink::routes::Config;

use super::bench::{Bench, SOON, stored};
use crate::world::{DEADLINE, LANES, World, drain};

/// A stream that refuses what is beyond its limits.
fn refusing() -> stream::Config {
    stream::Config {
        name: "ROUTES".into(),
        subjects: vec!["routes.>".into()],
        discard: stream::DiscardPolicy::New,
        duplicate_window: Duration::from_secs(600),
        ..Default::default()
    }
}

/// Makes the stream, with room for so many jobs.
async fn create_full_at(jetstream: &jetstream::Context, max_messages: i64) {
    jetstream.create_stream(stream::Config { max_messages, ..refusing() }).await.unwrap();
}

async fn make_room(jetstream: &jetstream::Context) {
    jetstream.update_stream(stream::Config { max_messages: -1, ..refusing() }).await.unwrap();
}

#[actix::test]
async fn a_full_stream_holds_deliveries_says_so_and_gets_every_job_once_there_is_room() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    create_full_at(&jetstream, 3).await;
    let bench = Bench::new(&nats, Config { retry_secs: 600, ..Config::default() }).await;
    bench.publish((0..5).map(|number| bench.delivery(number, number, &[1, 2])).collect());
    wait_for("a remark", SOON, async || !bench.readiness.messages().is_empty()).await;
    assert!(bench.readiness.messages()[0].contains("maximum messages exceeded"), "{:?}", bench.readiness.messages());
    assert_eq!(stored(&jetstream).await, 3, "nothing is dropped for what comes later");
    assert!(bench.metrics.routes.deliveries_waiting.get() >= 3);

    make_room(&jetstream).await;
    wait_for("all verdicts", SOON, async || bench.settled() == 5).await;
    assert!(bench.verdicts.lock().unwrap().values().all(|verdict| *verdict == Verdict::Done));
    assert_eq!(stored(&jetstream).await, 10);
    wait_for("no remark", SOON, async || bench.readiness.messages().is_empty()).await;
    assert_eq!(bench.metrics.routes.deliveries_waiting.get(), 0);
    assert_eq!(bench.metrics.routes.jobs.of(Outcome::Failed).get(), 0);
}

#[actix::test]
async fn a_tenant_whose_jobs_are_not_taken_holds_up_no_other() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let per_subject = stream::Config { max_messages_per_subject: 1, discard_new_per_subject: true, ..refusing() };
    jetstream.create_stream(per_subject).await.unwrap();
    let bench = Bench::new(&nats, Config { retry_secs: 600, max_in_flight: 10, ..Config::default() }).await;
    // Many times as much as may be under way at once.
    bench.publish((0..200).map(|number| bench.delivery(number, number, &[1])).collect());
    let other =
        |slot: u64| RouteJobs { tenant_id: format!("tenant-{slot}").into(), ..bench.delivery(slot, slot, &[1]) };
    for slot in 1_000..1_020 {
        bench.publish(vec![other(slot)]);
        assert_eq!(bench.verdict(slot).await, Verdict::Done);
    }
    assert_eq!(bench.settled(), 21, "one job of the tenant that is refused found room");
}

#[actix::test]
async fn deliveries_that_no_attempt_has_reached_are_handed_back_in_time_too() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    create_full_at(&jetstream, 1).await;
    let bench = Bench::new(&nats, Config { retry_secs: 1, max_in_flight: 2, ..Config::default() }).await;
    bench.publish((0..100).map(|number| bench.delivery(number, number, &[1, 2, 3])).collect());
    wait_for("all verdicts", SOON, async || bench.settled() == 100).await;
    assert!(bench.verdicts.lock().unwrap().values().all(|verdict| *verdict == Verdict::Retry));
    assert_eq!(bench.metrics.routes.jobs.of(Outcome::Failed).get(), 299);
    assert!(!bench.heartbeat.read().1, "nothing is left to do");
}

#[actix::test]
async fn more_deliveries_than_may_be_held_are_handed_back_at_once() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    create_full_at(&jetstream, 1).await;
    let bench = Bench::new(&nats, Config { retry_secs: 600, hold_deliveries: 10, ..Config::default() }).await;
    bench.publish(vec![bench.delivery(0, 0, &[1, 2])]);
    wait_for("a remark", SOON, async || !bench.readiness.messages().is_empty()).await;
    bench.publish((1..100).map(|number| bench.delivery(number, number, &[1])).collect());
    wait_for("what is too much", SOON, async || bench.settled() >= 89).await;
    let held = 100 - bench.settled();
    assert!((9..=10).contains(&held), "{held} are held; one of them may be out as a probe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_stream_is_full_messages_without_routes_go_on_and_no_job_is_lost() {
    let world = World::new().await;
    create_full_at(&world.jetstream, 10).await;
    create_streams(&world.jetstream).await;
    let devices: Vec<_> = (0..2).map(|number| envelope::device(number, 2)).collect();
    seed::devices(&world.database, &devices).await;
    seed::routes(&world.database, &[seed::catch_all_route(&devices[0].tenant_id)]).await;
    world.publish((0..400).map(|seq| envelope::telemetry(&devices[seq as usize % 2], seq))).await;
    let node = world.start_node().await;
    let acked = async || {
        let labels = [("consumer", LANES[0].1), ("disposition", "ack")];
        node.metrics().await.count("ingest_deliveries_settled_total", &labels)
    };
    wait_for("messages that have no job to wait for", DEADLINE, async || acked().await >= 200).await;
    wait_for("all rows", DEADLINE, async || world.database.count("raw_events").await == 400).await;
    wait_for("as many jobs as there is room for", DEADLINE, async || stored(&world.jetstream).await == 10).await;
    assert!(acked().await <= 210, "a delivery is not acknowledged before its job is in the stream");
    wait_for("a message in /ready that takes nothing from it", DEADLINE, async || {
        let ready = node.get("/ready").await.expect("an answer");
        ready.status == 200 && ready.body.contains("route jobs")
    })
    .await;

    make_room(&world.jetstream).await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    assert_eq!(stored(&world.jetstream).await, 200);
    assert_eq!(world.database.count("raw_events").await, 400);
    drain(node).await;
}
