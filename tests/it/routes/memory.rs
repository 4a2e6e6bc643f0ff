//! Messages times routes do not multiply memory.

use std::time::Duration;

use async_nats::jetstream::stream;
use ingest_kit::jetstream::create_streams;
use ingest_kit::{envelope, procfs, seed, wait_for};
use serde_json::json;

use crate::world::{World, start};

const ROUTES: usize = 200;
/// What a node may use at its peak, with its default settings.
const BOUND: u64 = 400 * 1024 * 1024;

/// Stores messages of a tenant all of whose routes match while the stream of the jobs is full, so that all of them wait
/// for their jobs; the node's largest resident set, when it has tried for a while.
async fn peak_while_jobs_wait(messages: u64, filler: usize) -> u64 {
    let world = World::new().await;
    seed::app_settings(&world.database, &[("MAX_PAYLOAD_BYTES", "1000000")]).await;
    let device = envelope::device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let routes: Vec<_> = (0..ROUTES)
        .map(|number| seed::Route { name: format!("route {number}"), ..seed::catch_all_route(&device.tenant_id) })
        .collect();
    seed::routes(&world.database, &routes).await;
    let full = stream::Config {
        name: "ROUTES".into(),
        subjects: vec!["routes.>".into()],
        discard: stream::DiscardPolicy::New,
        max_messages: 500,
        ..Default::default()
    };
    world.jetstream.create_stream(full).await.unwrap();
    create_streams(&world.jetstream).await;
    let message = |seq| {
        let mut payload = envelope::payload(&device, seq);
        payload["filler"] = json!("x".repeat(filler));
        envelope::outgoing(&device, "telemetry", "telemetry", &payload)
    };
    world.publish((0..messages).map(message)).await;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    std::fs::write(
        &file,
        "[routes]\nretry_secs = 600\nduplicate_window_secs = 3600\n[supervisor]\ndrain_timeout_secs = 3600\n",
    )
    .unwrap();
    let node = start(world.node().arguments(&["--config", file.to_str().unwrap(), "run"])).await;
    let stored = async || world.database.count("raw_events").await == messages;
    wait_for("all rows", Duration::from_secs(120), stored).await;
    let waiting = async || node.metrics().await.count("ingest_route_deliveries_waiting", &[]);
    // Some have got their jobs through, and one may be out as a probe.
    wait_for("all of them to wait", Duration::from_secs(60), async || waiting().await + 10 >= messages).await;
    procfs::peak_rss_bytes(node.pid()).expect("a running node")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_messages_that_match_two_hundred_routes_wait_in_bounded_memory() {
    let peak = peak_while_jobs_wait(4_000, 1_000).await;
    assert!(peak <= BOUND, "{} MiB", peak / 1024 / 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_that_match_two_hundred_routes_wait_in_bounded_memory() {
    let peak = peak_while_jobs_wait(40, 900_000).await;
    assert!(peak <= BOUND, "{} MiB", peak / 1024 / 1024);
}
