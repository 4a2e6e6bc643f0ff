//! One tenant's database hangs.

use std::time::Duration;

use ingest_kit::wait_for;

use super::expected::Expected;
use super::readings::Readings;
use super::scene::with_settings;
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_costs_the_other_tenants_no_point_and_no_time_and_its_own_ones_come_at_last() {
    let world = World::new().await;
    let load = Readings::of(4, 2_000);
    load.seed(&world).await;
    // Requests without an answer are given up and sent again while it hangs.
    let settings = "target.request_timeout_secs = 1\noutbox.replay_interval_ms = 500\nretry.retry_delay_max_ms = 1000";
    let (node, _dir) = with_settings(world.node().env("BATCH_SIZE", 50).env("INFLUX_BATCH_SIZE", 50), settings);
    let node = start(node).await;
    world.influx.hang(Some(&database("tenant-0")));
    let others: Vec<_> = load.messages.iter().filter(|m| !m.is_of_tenant("tenant-0")).cloned().collect();
    world.publish(load.messages.clone()).await;
    wait_for("the points of the others", DEADLINE, async || world.influx.total_points() >= others.len()).await;
    Expected::of(&others).assert_in(&world.influx);
    world.wait_settled(LANES[0], DEADLINE).await;
    let attempts = world.influx.write_times(&database("tenant-0"));
    wait_for("attempts in vain", DEADLINE, async || {
        world.influx.write_times(&database("tenant-0")).len() > attempts.len() + 2
    })
    .await;
    wait_for("the others to owe nothing", DEADLINE, async || world.owed_lines("tenant-1").await == 0).await;
    assert_eq!(world.owed_lines("%").await, 500);
    assert_eq!(node.ready_status().await, Some(200));

    world.influx.release();
    world.wait_complete(load.messages.len(), &load.expected()).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_late_is_only_late() {
    let world = World::new().await;
    let load = Readings::of(2, 1_000);
    load.seed(&world).await;
    world.influx.set_latency(Duration::from_secs(1));
    let node = start(world.node().env("INFLUX_BATCH_SIZE", 100)).await;
    world.publish(load.messages.clone()).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    let counts = world.influx.counts();
    assert_eq!(counts.lines_written, 1_000, "lines were written twice: {counts:?}");
    drain(node).await;
}
