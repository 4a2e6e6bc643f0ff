//! Memory is bounded in bytes, for any message size and any length of an outage.

use std::time::{Duration, Instant};

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{envelope, procfs, seed, wait_for};
use serde_json::json;

use super::in_flight;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain};

/// Most memory of a node with default settings.
const MOST_MEMORY: u64 = 400 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_on_all_lanes_neither_fill_the_memory_nor_get_the_node_disconnected() {
    let world = World::with_own_postgres().await;
    let device = envelope::device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    world.create_consumers(Duration::from_secs(30), 60_000).await;
    let large = |lane: &str, kind: &str, seq: u64| {
        let mut payload = envelope::payload(&device, seq);
        payload["pad"] = json!("large ".repeat(173_000));
        envelope::outgoing(&device, lane, kind, &payload)
    };
    let mut messages: Vec<Outgoing> = Vec::new();
    for seq in 0..60 {
        messages.push(large("telemetry", "telemetry", seq));
        messages.push(large("shadow", "shadow/reported", seq));
        messages.push(large("commands", "commands/ack", seq));
    }
    for chunk in messages.chunks(10) {
        world.publish(chunk.to_vec()).await;
    }
    let node = world.start_node().await;
    for lane in LANES {
        world.wait_settled(lane, 3 * DEADLINE).await;
    }
    let peak = procfs::peak_rss_bytes(node.pid()).expect("a running node");
    assert!(peak <= MOST_MEMORY, "the node has used {} MiB", peak >> 20);
    let log = std::fs::read_to_string(world.nats.log()).expect("the server's log");
    assert!(!log.contains("Slow Consumer"), "{log}");
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_rejections_total", &[("reason", "PAYLOAD_TOO_LARGE")]), 180);
    for (_, consumer) in LANES {
        assert_eq!(metrics.count("ingest_deliveries_received_total", &[("consumer", consumer)]), 60, "{consumer}");
    }
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nats_and_postgresql_both_unreachable_memory_does_not_grow() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(5_000);
    load.seed(&world).await;
    // In-progress signals would be due three times a second.
    world.create_consumers(Duration::from_secs(1), 60_000).await;
    let node = world.start_node().await;
    world.postgres.as_ref().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    // More, where a busy machine is so late that the broker delivers some again.
    wait_for("deliveries in flight", DEADLINE, async || in_flight(&node).await >= 5_000).await;
    world.nats.stop();
    let begun = Instant::now();
    let waited = async |secs| {
        wait_for("the outage to last", DEADLINE, async || begun.elapsed() > Duration::from_secs(secs)).await;
    };
    waited(5).await;
    let before = procfs::rss_bytes(node.pid()).expect("a running node");
    waited(20).await;
    let after = procfs::rss_bytes(node.pid()).expect("a running node");
    assert!(after < before + 8 * 1024 * 1024, "grew from {} to {} KiB", before >> 10, after >> 10);
    world.nats.start_again();
    world.postgres.as_ref().expect("its own").resume();
    world.wait_settled(LANES[0], 3 * DEADLINE).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}
