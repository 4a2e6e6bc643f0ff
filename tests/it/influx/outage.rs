//! InfluxDB is away for a while, under load.

use std::time::{Duration, Instant};

use ingest_kit::wait_for;

use super::expected::Expected;
use super::readings::{devices, reading};
use super::scene::with_settings;
use crate::traffic::Traffic;
use crate::workload::acked;
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_seconds_without_influxdb_delay_no_acknowledgement_and_cost_no_point() {
    let mut world = World::new().await;
    let devices = devices(3);
    ingest_kit::seed::devices(&world.database, &devices).await;
    // Much less than what comes during the outage: the rest must be read back from its rows.
    let node = world.node().env("INFLUX_BATCH_SIZE", 100);
    let (node, _dir) = with_settings(node, "buffer.buffer_lines = 500\noutbox.replay_interval_ms = 500");
    let node = start(node).await;
    let senders = devices.clone();
    let traffic = Traffic::rounds(&world, 4, move |number| reading(&senders, number));
    wait_for("the first points", DEADLINE, async || world.influx.total_points() > 100).await;

    world.influx.stop().await;
    let away_since = Instant::now();
    let acked_before = acked(&node).await;
    let mut acked_last = acked_before;
    for second in 1..=20 {
        wait_for("another second", DEADLINE, async || away_since.elapsed() >= Duration::from_secs(second)).await;
        wait_for("another acknowledgement", DEADLINE, async || acked(&node).await > acked_last).await;
        acked_last = acked(&node).await;
        assert_eq!(node.ready_status().await, Some(200), "best effort: InfluxDB is no condition of readiness");
    }
    let away = (acked_last - acked_before) as f64;
    let unconfirmed = node.metrics().await.get("ingest_influx_unconfirmed_lines", &[]).unwrap_or_default();
    assert!(unconfirmed > away / 2.0, "{unconfirmed} lines are said to be unconfirmed, {away} came meanwhile");
    assert!(world.owed_lines("%").await as f64 >= away, "what InfluxDB has not confirmed is not all on record");

    world.influx.start_again();
    let acked_back = acked(&node).await;
    wait_for("some load after it", DEADLINE, async || acked(&node).await > acked_back + 200).await;
    let messages: Vec<_> = (0..traffic.stop().await).map(|number| reading(&devices, number)).collect();
    world.wait_complete(messages.len(), &Expected::of(&messages)).await;
    wait_for("the gauge to say so", DEADLINE, async || {
        node.metrics().await.get("ingest_influx_unconfirmed_lines", &[]) == Some(0.0)
    })
    .await;
    drain(node).await;
}
