//! Messages of unregistered tenants: their cost in memory, rows and metric labels is bounded.

use std::time::Duration;

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::procfs::peak_rss_bytes;
use ingest_kit::seed;
use serde_json::json;

use crate::ledger::assert_balanced;
use crate::world::{LANES, World, drain, start};

/// Messages, each of an unknown tenant of its own: twice as many as are cached.
const UNKNOWN_TENANTS: u64 = 20_000;

/// The longest name that is no bad topic.
const LONGEST: usize = 255;

/// Memory that a node may take with its default settings.
const MOST_RSS_BYTES: u64 = 400 * 1024 * 1024;

/// Stored rejections of one minute that all unknown tenants share, by default.
const CAP: u64 = 1_000;

/// A name of the longest kind that no compression makes shorter.
fn name(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut symbol = || {
        // xorshift64: looks like noise to a compressor, and is the same in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize])
    };
    (0..LONGEST).map(|_| symbol()).collect()
}

fn from_unknown_tenant(number: u64) -> Outgoing {
    let (tenant, device) = (name(number), name(number + UNKNOWN_TENANTS));
    let envelope = json!({
        "topic": format!("tenant/{tenant}/device/{device}/telemetry"),
        "payload": {"site_id": "s", "metrics": {"t": 1}},
    });
    Outgoing::new(format!("telemetry.{tenant}"), envelope.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_unknown_tenants_cost_neither_memory_nor_rows() {
    let world = World::new().await;
    let honest = device(1, 1);
    seed::devices(&world.database, std::slice::from_ref(&honest)).await;
    let node = start(world.node()).await;

    world.publish((0..UNKNOWN_TENANTS).map(from_unknown_tenant)).await;
    world.publish((0..1_000).map(|seq| telemetry(&honest, seq))).await;
    world.wait_settled(LANES[0], Duration::from_secs(180)).await;

    assert_eq!(world.database.count("raw_events").await, 1_000, "the honest device's rows");
    // The cap is one of the broker's minutes, a counter is of the minute in which it was counted.
    let minutes = "(SELECT DISTINCT date_trunc('minute', received_at) FROM quarantine_events) AS minutes";
    let minutes = world.database.count(minutes).await;
    let events = world.database.count("quarantine_events").await;
    assert!(events <= CAP * minutes, "{events} events stored in {minutes} minutes");
    let minutes =
        world.database.count("(SELECT DISTINCT bucket_minute FROM quarantine_counters_minute) AS minutes").await;
    let counters = world.database.count("quarantine_counters_minute").await;
    assert_eq!(counters, minutes, "one reason and one tenant");
    let counted = "SELECT sum(cnt)::bigint FROM quarantine_counters_minute
                   WHERE tenant_id = 'unknown' AND reason = 'UNREGISTERED_DEVICE'";
    assert_eq!(world.database.query(counted, &[]).await[0].get::<_, i64>(0) as u64, UNKNOWN_TENANTS);

    let peak = peak_rss_bytes(node.pid()).expect("the node runs");
    println!("peak RSS {} MiB", peak / 1024 / 1024);
    assert!(peak <= MOST_RSS_BYTES, "peak RSS is {peak} bytes");
    assert_balanced(&node.metrics().await);
    drain(node).await;
}
