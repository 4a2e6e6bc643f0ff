//! Rows that jsonb writes out a thousand times as long as their messages were: what reads many of them stays bounded.

use std::time::Duration;

use ingest_kit::influx::{Point, Value};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{procfs, wait_for};

use super::scene::ALL_WITHIN;
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain, start};

const TENANT: &str = "tenant-0";
const MESSAGES: u64 = 300;
const METRICS: usize = 49;

/// What reading them may cost beside an idle node.
const MOST_BYTES: u64 = 200 * 1024 * 1024;

/// Values whose text in jsonb is long: one kind a message. What a point can hold of each is the last one's alone.
const VALUES: [&str; 6] = ["1e131000", "-1e130000", "1e-16000", "[1e131000,[1e131000]]", "{\"a\":1e131000}", "1e308"];

fn device() -> Device {
    Device::active(TENANT, "dev-huge", "tok-huge")
}

/// By hand: serde_json has no such numbers.
fn message(seq: u64) -> Outgoing {
    let value = VALUES[seq as usize % VALUES.len()];
    let metrics: Vec<String> = (0..METRICS).map(|number| format!("\"m{number}\":{value}")).collect();
    let ts = 1_795_219_200_000 + seq;
    let text = format!(
        r#"{{"topic":"tenant/{TENANT}/device/dev-huge/telemetry","payload":{{"site_id":"site-1","ts":{ts},"seq":{seq},"provision_token":"tok-huge","metrics":{{{}}}}}}}"#,
        metrics.join(",")
    );
    Outgoing::new(format!("telemetry.{TENANT}"), text)
}

/// A world with 300 such rows of which InfluxDB has no points, and what an idle node needs.
async fn world_with_huge_rows() -> (World, u64) {
    let mut world = World::new().await;
    seed::devices(&world.database, &[device()]).await;
    world.influx.stop().await;
    let mut node = start(world.missed_node()).await;
    let idle = procfs::rss_bytes(node.pid()).expect("its memory");
    world.publish((0..MESSAGES).map(message)).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    node.sigkill();
    assert_eq!((world.database.count("raw_events").await, world.owed_lines("%").await), (MESSAGES, MESSAGES));
    world.influx.start_again();
    (world, idle)
}

/// Every message has its point, with the fields that a point can hold.
fn assert_complete(points: &[Point]) {
    assert_eq!(points.len() as u64, MESSAGES);
    for point in points {
        let seq = point.fields.iter().find(|(name, _)| name == "seq").map(|(_, value)| value.clone());
        let Some(Value::Integer(seq)) = seq else { panic!("no sequence number: {point:?}") };
        let expected = match VALUES[seq as usize % VALUES.len()] {
            "1e308" => Some(1e308),
            "1e-16000" => Some(0.0),
            _ => None,
        };
        let fields: Vec<_> = point.fields.iter().filter(|(name, _)| name != "seq").collect();
        assert_eq!(fields.len(), expected.map_or(0, |_| METRICS), "{point:?}");
        assert!(fields.iter().all(|(_, value)| expected.is_some_and(|number| *value == Value::Float(number))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_six_megabytes_each_are_redelivered_within_200_mib() {
    let (world, idle) = world_with_huge_rows().await;
    let node = start(world.missed_node()).await;
    wait_for("every point", ALL_WITHIN, async || {
        world.influx.point_count(&database(TENANT)) as u64 == MESSAGES && world.owed_lines("%").await == 0
    })
    .await;
    let peak = procfs::peak_rss_bytes(node.pid()).expect("its memory");
    assert!(peak < idle + MOST_BYTES, "{} MiB, idle {} MiB", peak >> 20, idle >> 20);
    assert_complete(&world.influx.points(&database(TENANT)));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_six_megabytes_each_are_backfilled_within_200_mib() {
    let (world, idle) = world_with_huge_rows().await;
    // So that the command is still there to be looked at when it has read everything.
    world.influx.set_latency(Duration::from_secs(1));
    let mut command = world.node().arguments(&["backfill", "--from", "2020-01-01", "--tenant", TENANT]).start();
    let mut peak = 0;
    wait_for("every point", ALL_WITHIN, async || {
        peak = procfs::peak_rss_bytes(command.pid()).unwrap_or(peak);
        world.influx.point_count(&database(TENANT)) as u64 == MESSAGES
    })
    .await;
    assert_eq!(command.wait_exit(DEADLINE).await, Some(0), "{}", command.log());
    assert!(peak > 0 && peak < idle + MOST_BYTES, "{} MiB, an idle node {} MiB", peak >> 20, idle >> 20);
    assert_complete(&world.influx.points(&database(TENANT)));
}
