//! Streams and consumers that the node creates, or waits for.

use ingest_kit::jetstream::{consumer_info, create_streams};
use ingest_kit::wait_for;

use super::wait_ready_shows;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_streams_and_consumers_are_logged_and_counted() {
    let world = World::new().await;
    let node = world.start_node().await;
    // The lanes' streams and that of the route jobs, whose creation the node does not wait for.
    wait_for("four streams to be made", DEADLINE, async || {
        node.metrics().await.count("ingest_streams_created_total", &[]) == 4
    })
    .await;
    let made = async || node.metrics().await.count("ingest_consumers_created_total", &[]);
    wait_for("three consumers to be counted", DEADLINE, async || made().await >= 3).await;
    assert_eq!(made().await, 3);
    node.wait_logged("stream was missing and has been created", 4).await;
    node.wait_logged("consumer was missing and has been created", 3).await;
    let log = node.log();
    for (stream, consumer) in LANES {
        let line = |what: &str, name: &str| {
            log.lines().find(|line| line.contains(what) && line.contains(name) && line.contains("WARN")).is_some()
        };
        assert!(line("stream was missing and has been created", stream), "{log}");
        assert!(line("consumer was missing and has been created", consumer), "{log}");
    }
    let info = consumer_info(&world.jetstream, LANES[0].0, LANES[0].1).await.expect("the consumer");
    assert_eq!((info.config.max_deliver, info.config.max_ack_pending), (-1, 60_000));
    drain(node).await;

    // The next node binds to what is there.
    let node = world.start_node().await;
    assert_eq!(node.metrics().await.count("ingest_consumers_created_total", &[]), 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_made_again_is_logged_with_what_it_delivers_again() {
    let world = World::new().await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let node = world.start_node().await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    node.wait_logged("everything that the stream holds: 20 messages", 1).await;
    let log = node.log();
    let line = log.lines().find(|line| line.contains("everything that the stream holds: 20")).expect("the line");
    let keys = ["WARN", "consumer: ingest-workers", "replicas: 1", "max_ack_pending: 60000", "max_deliver: -1"];
    assert!(keys.iter().all(|key| line.contains(key)), "{line}");
    let made = async || node.metrics().await.count("ingest_consumers_created_total", &[]);
    wait_for("the consumer to be counted", DEADLINE, async || made().await >= 4).await;
    assert_eq!(made().await, 4);
    wait_for("all to be delivered again", DEADLINE, async || {
        node.metrics().await.count("ingest_postgres_duplicates_suppressed_total", &[]) == 20
    })
    .await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_create_nothing_reports_what_is_missing_and_continues_when_it_exists() {
    let world = World::new().await;
    let mut node = world.node().env("NATS_CREATE", 0).start();
    wait_ready_shows(&node, 503, "stream TELEMETRY is missing").await;
    create_streams(&world.jetstream).await;
    wait_ready_shows(&node, 503, "consumer ingest-workers of stream TELEMETRY is missing").await;
    world.create_quickly_redelivering_consumers().await;
    node.wait_ready(DEADLINE).await;
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_streams_created_total", &[]), 0);
    assert_eq!(metrics.count("ingest_consumers_created_total", &[]), 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_replicas_of_created_streams_are_settings() {
    let world = World::new().await;
    let config = super::Configured::with("[nats]\nstream_max_bytes = 1000000\nstream_max_age_secs = 3600\n");
    let node = start(config.node(&world).env("NATS_STREAM_REPLICAS", 1)).await;
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    let found = &stream.cached_info().config;
    assert_eq!((found.max_bytes, found.max_age.as_secs(), found.num_replicas), (1_000_000, 3_600, 1));
    drain(node).await;
}
