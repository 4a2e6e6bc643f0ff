//! Lag: `/lag`, the metrics and `/stats` show the broker's figures while they are known, and no number otherwise.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{PullConsumer, pull};
use futures_util::StreamExt;
use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::{Outgoing, create_streams};
use ingest_kit::{Metrics, Node, seed, wait_for, wait_for_value};
use serde_json::{Value, json};

use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// What is shown of each consumer as long as it is known.
const FIGURES: [&str; 6] = [
    "ingest_consumer_pending",
    "ingest_consumer_ack_pending",
    "ingest_consumer_redelivered",
    "ingest_consumer_max_ack_pending",
    "ingest_consumer_lag_seconds",
    "ingest_oldest_unsettled_seconds",
];
const INFO_AGE: &str = "ingest_consumer_info_age_seconds";

fn figure(metrics: &Metrics, name: &str, lane: (&str, &str)) -> Option<f64> {
    metrics.get(name, &[("consumer", lane.1)])
}

/// The figures of a lane that are there.
fn figures(metrics: &Metrics, lane: (&str, &str)) -> Vec<&'static str> {
    FIGURES.into_iter().filter(|name| figure(metrics, name, lane).is_some()).collect()
}

/// The telemetry lane's part of `/lag` as soon as it is answered and this holds for it.
async fn wait_lag(node: &Node, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
    wait_for_value(&format!("/lag with {what}"), DEADLINE, async || {
        let answer = node.get("/lag").await.filter(|answer| answer.status == 200)?;
        let lag: Value = serde_json::from_str(&answer.body).expect("JSON");
        let telemetry = lag["consumers"][LANES[0].1].clone();
        holds(&telemetry).then_some(telemetry)
    })
    .await
}

/// Waits until `/lag` answers 503 and returns the reasons.
async fn wait_unknown(node: &Node) -> String {
    wait_for_value("/lag to answer 503", DEADLINE, async || {
        Some(node.get("/lag").await.filter(|answer| answer.status == 503)?.body)
    })
    .await
}

fn seconds(lag: &Value) -> f64 {
    lag["seconds"].as_f64().unwrap_or_else(|| panic!("seconds in {lag}"))
}

/// Checks `seconds` against the moments between which the oldest message was stored.
async fn assert_age(node: &Node, before: Instant, after: Instant) {
    let least = after.elapsed().as_secs_f64();
    let lag = wait_lag(node, "the age", |_| true).await;
    let most = before.elapsed().as_secs_f64();
    // The broker's clock is the wall clock, ours is not: they may drift apart by a little.
    assert!((least - 0.1..=most + 0.1).contains(&seconds(&lag)), "{least} <= {lag} <= {most}");
}

/// Another client takes messages of the telemetry lane and keeps them.
pub(crate) async fn hold(world: &World, messages: usize) {
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    let consumer: PullConsumer = stream.get_consumer(LANES[0].1).await.expect("the consumer");
    let batch = consumer.fetch().max_messages(messages).messages().await.expect("a batch");
    assert_eq!(batch.count().await, messages);
}

/// Good messages of one tenant.
async fn messages(world: &World, tenant: usize, count: u64) -> Vec<Outgoing> {
    let device = device(tenant, 5);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    (0..count).map(|seq| telemetry(&device, seq)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_held_while_postgresql_is_away_are_lag_that_no_replica_can_work_off() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(300);
    load.seed(&world).await;
    let node = world.start_node().await;
    let idle = wait_lag(&node, "an idle lane", |_| true).await;
    assert_eq!(idle, json!({"messages": 0, "seconds": 0.0, "scalable": 0}));

    world.postgres.as_mut().expect("its own").stop();
    let before = Instant::now();
    world.publish(load.messages[..1].to_vec()).await;
    let after = Instant::now();
    world.publish(load.messages[1..].to_vec()).await;
    let first = wait_lag(&node, "all", |lag| lag["messages"] == 300 && lag["scalable"] == 0).await;
    wait_lag(&node, "a growing age", |lag| lag["messages"] == 300 && seconds(lag) > seconds(&first) + 3.0).await;
    assert_age(&node, before, after).await;
    let metrics = node.metrics().await;
    let [pending, ack_pending] = [0, 1].map(|at| figure(&metrics, FIGURES[at], LANES[0]).expect("known"));
    assert_eq!(pending + ack_pending, 300.0);
    let [lag, oldest] = [4, 5].map(|at| figure(&metrics, FIGURES[at], LANES[0]).expect("known"));
    assert!(lag == oldest && lag > 3.0, "{lag} {oldest}");
    assert_eq!(node.ready_status().await, Some(503));

    world.postgres.as_mut().expect("its own").start_again();
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_lag(&node, "an idle lane", |lag| *lag == idle).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_absent_until_a_lane_is_bound_and_while_nats_is_away() {
    let mut world = World::new().await;
    let node = world.node().env("NATS_CREATE", 0).env("LOG_STATS_EVERY_SECONDS", 1).env("LOG_FORMAT", "json");
    let mut node = node.start();
    let reasons = wait_unknown(&node).await;
    assert!(LANES.iter().all(|lane| reasons.contains(lane.1)), "{reasons}");
    let metrics = node.metrics().await;
    for lane in LANES {
        assert_eq!(figures(&metrics, lane), [""; 0]);
        assert_eq!(figure(&metrics, INFO_AGE, lane), None);
    }

    create_streams(&world.jetstream).await;
    world.create_quickly_redelivering_consumers().await;
    node.wait_ready(DEADLINE).await;
    wait_lag(&node, "an idle lane", |lag| seconds(lag) == 0.0).await;
    let metrics = node.metrics().await;
    for lane in LANES {
        assert_eq!(figures(&metrics, lane), FIGURES);
        assert!(figure(&metrics, INFO_AGE, lane).is_some_and(|age| age < 10.0));
    }
    let stats = node.stats().await;
    assert_eq!((&stats["totals"]["pending"], &stats["consumers"][LANES[0].1]["ack_floor"]), (&json!(0), &json!(0)));
    node.wait_logged(r#""pending":0"#, 1).await;

    world.nats.stop();
    let reasons = wait_unknown(&node).await;
    assert!(LANES.iter().all(|lane| reasons.contains(lane.1)), "{reasons}");
    let metrics = node.metrics().await;
    for lane in LANES {
        assert_eq!(figures(&metrics, lane), [""; 0]);
        wait_for("the last answer to be old", DEADLINE, async || {
            figure(&node.metrics().await, INFO_AGE, lane).is_some_and(|age| age > 10.0)
        })
        .await;
    }
    let stats = node.stats().await;
    for key in ["pending", "ack_pending", "redelivered", "max_ack_pending", "ack_floor", "lag_seconds"] {
        assert_eq!(stats["consumers"][LANES[0].1][key], Value::Null, "{key}");
    }
    assert!(stats["consumers"][LANES[0].1]["info_age_seconds"].as_f64() > Some(10.0));
    assert_eq!(stats["totals"]["pending"], Value::Null);
    node.wait_logged(r#""pending":null"#, 1).await;

    world.nats.start_again();
    wait_lag(&node, "an idle lane", |lag| seconds(lag) == 0.0).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_missing_has_no_lag() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let node = start(world.node().env("NATS_CREATE", 0)).await;
    wait_lag(&node, "an idle lane", |_| true).await;
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    let reasons = wait_unknown(&node).await;
    assert!(reasons.contains("ingest-workers: the consumer is missing") && !reasons.contains(LANES[1].1), "{reasons}");
    let metrics = node.metrics().await;
    assert_eq!(figures(&metrics, LANES[0]), [""; 0]);
    assert_eq!(figures(&metrics, LANES[1]), FIGURES);
    assert_eq!(node.ready_status().await, Some(503));

    world.create_quickly_redelivering_consumers().await;
    wait_lag(&node, "the new consumer", |_| true).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_message_behind_a_full_consumer_counts_and_is_not_scalable() {
    let world = World::new().await;
    world.create_consumers(Duration::from_secs(300), 5).await;
    let load = messages(&world, 0, 20).await;
    let before = Instant::now();
    world.publish(load[..1].to_vec()).await;
    let after = Instant::now();
    world.publish(load[1..].to_vec()).await;
    hold(&world, 5).await;
    let node = world.start_node().await;
    let lag = wait_lag(&node, "all", |lag| lag["messages"] == 20).await;
    assert_eq!(lag["scalable"], 0, "max_ack_pending is reached");
    assert_age(&node, before, after).await;
    let metrics = node.metrics().await;
    assert_eq!(figure(&metrics, FIGURES[3], LANES[0]), Some(5.0));
    let lag: Value = serde_json::from_str(&node.get("/lag").await.expect("an answer").body).expect("JSON");
    assert_eq!(lag["replicas_useful"], 1);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_message_is_found_below_what_is_settled_out_of_order() {
    let world = World::new().await;
    world.create_consumers(Duration::from_secs(300), 10).await;
    let load = messages(&world, 0, 20).await;
    let before = Instant::now();
    world.publish(load[..1].to_vec()).await;
    let after = Instant::now();
    hold(&world, 1).await;
    let node = world.start_node().await;
    world.publish(load[1..].to_vec()).await;
    let others = async || world.database.count("raw_events").await == 19;
    wait_for("the others to be stored", DEADLINE, others).await;
    let lag = wait_lag(&node, "the one", |lag| lag["messages"] == 1).await;
    assert_eq!(lag["scalable"], 1, "there is room for more");
    assert_age(&node, before, after).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_the_consumer_does_not_deliver_are_no_lag() {
    let world = World::new().await;
    let filter_subject = "telemetry.tenant-1.>".to_owned();
    let config =
        pull::Config { filter_subject, ack_wait: Duration::from_secs(300), max_ack_pending: 5, ..Default::default() };
    create_streams(&world.jetstream).await;
    world.create_consumers(Duration::from_secs(30), 60_000).await;
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    let config = pull::Config { durable_name: Some(LANES[0].1.to_owned()), ..config };
    world.jetstream.create_consumer_on_stream(config, LANES[0].0).await.expect("a consumer with a filter");
    let (others, own) = (messages(&world, 0, 5).await, messages(&world, 1, 6).await);
    world.publish(others).await;
    let old = Instant::now();
    wait_for("the others to be old", DEADLINE, async || old.elapsed() > Duration::from_secs(2)).await;
    let before = Instant::now();
    world.publish(own[..1].to_vec()).await;
    let after = Instant::now();
    world.publish(own[1..].to_vec()).await;
    hold(&world, 5).await;
    let node = world.start_node().await;
    wait_lag(&node, "its own messages", |lag| lag["messages"] == 6).await;
    assert_age(&node, before, after).await;
    drain(node).await;
}
