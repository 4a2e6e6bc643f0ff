//! A long outage is over: the redelivery of what is owed takes a bounded part of the node's memory.

use std::time::Duration;

use ingest_kit::{procfs, wait_for};

use super::scene::ALL_WITHIN;
use crate::workload::database;
use crate::world::{World, drain, start};

const TENANTS: u64 = 4;
const LINES_OF_AN_ENTRY: u64 = 1_000;

/// With default settings, for however many lines.
const MOST_BYTES: u64 = 400 * 1024 * 1024;

/// Rows as messages leave them, each with so much text among its metrics, and the record that InfluxDB has none of their
/// points.
async fn owe(world: &World, lines: u64, text_bytes: usize) {
    let rows = format!(
        "INSERT INTO raw_events (received_at, event_ts, stream, stream_seq, tenant_id, site_id, device_id, msg_type,
            topic, seq, payload)
        SELECT now() + n * interval '10 us', now() + n * interval '10 us', 'TELEMETRY', n, 'tenant-' || n % {TENANTS},
            'site-1', 'dev-' || n % 1000, 'telemetry', 'tenant/t/device/d/telemetry', n,
            jsonb_build_object('site_id', 'site-1', 'metrics', jsonb_build_object('battery_pct', 50.5 + n % 40,
                'temp_c', 20.25, 'rssi_dbm', -85, 'snr_db', 12.4, 'uplink_ok', n % 2 = 0, 'n', n,
                'text', repeat('x', {text_bytes})))
        FROM generate_series(1, {lines}) AS n"
    );
    let record = format!(
        "INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
        SELECT tenant_id, stream, min(received_at), max(received_at), count(*)
        FROM raw_events GROUP BY tenant_id, stream, stream_seq / {TENANTS} / {LINES_OF_AN_ENTRY}"
    );
    let client = world.database.connect().await;
    client.batch_execute(&format!("BEGIN; {rows}; {record}; COMMIT")).await.expect("rows and their record");
}

/// The most memory that a node took until all of that was redelivered.
async fn peak_of_redelivery(lines: u64, text_bytes: usize) -> u64 {
    let world = World::new().await;
    // Makes the day's partition.
    drain(start(world.node()).await).await;
    owe(&world, lines, text_bytes).await;
    // As a server that flushes its log once a second.
    world.influx.set_latency(Duration::from_secs(1));
    let node = start(world.node().env("INFLUX_FLUSH_INTERVAL_MS", 1_000)).await;
    let databases: Vec<String> = (0..TENANTS).map(|tenant| database(&format!("tenant-{tenant}"))).collect();
    wait_for("every point", 2 * ALL_WITHIN, async || {
        let points: usize = databases.iter().map(|database| world.influx.point_count(database)).sum();
        points as u64 == lines && world.owed_lines("%").await == 0
    })
    .await;
    let peak = procfs::peak_rss_bytes(node.pid()).expect("its memory");
    drain(node).await;
    peak
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_owed_lines_are_redelivered_within_400_mib() {
    let peak = peak_of_redelivery(100_000, 0).await;
    assert!(peak < MOST_BYTES, "{} MiB", peak >> 20);
}

/// 60 MB of text, of which a page holds 8 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_large_for_a_page_are_all_redelivered() {
    let peak = peak_of_redelivery(4_000, 15_000).await;
    assert!(peak < MOST_BYTES / 2, "{} MiB", peak >> 20);
}
