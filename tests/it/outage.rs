//! Outages of PostgreSQL, NATS and InfluxDB.

use std::time::{Duration, Instant};

use ingest_kit::{Node, wait_for};

use crate::ledger::InvariantChecker;
use crate::workload::{Workload, acked, database};
use crate::world::{DEADLINE, LANES, World, drain, start};

async fn wait_for_ready_status(node: &Node, status: u16) {
    wait_for(&format!("/ready to answer {status}"), DEADLINE, async || node.ready_status().await == Some(status)).await;
    assert_eq!(node.get("/health").await.map(|answer| answer.status), Some(200), "/health stays 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_loses_nothing_and_quarantines_nothing_good() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::with_bad(6_000, 100);
    load.seed(&world).await;
    let node = world.start_node().await;
    let checker = InvariantChecker::of(&node);
    let (first, rest) = load.messages.split_at(2_000);
    world.publish(first.to_vec()).await;
    wait_for("some acknowledgements", DEADLINE, async || acked(&node).await >= 200).await;

    world.postgres.as_mut().expect("its own").stop();
    let away_since = Instant::now();
    world.publish(rest.to_vec()).await;
    wait_for_ready_status(&node, 503).await;
    let acked_before = acked(&node).await;
    // As long as an operator's restart takes, so that timeouts and backoffs apply.
    wait_for("fifteen seconds of outage", DEADLINE, async || away_since.elapsed() > Duration::from_secs(15)).await;
    assert_eq!(acked(&node).await, acked_before, "acknowledged although nothing can be durable");

    world.postgres.as_mut().expect("its own").start_again();
    wait_for("work to go on", DEADLINE, async || acked(&node).await > acked_before).await;
    wait_for_ready_status(&node, 200).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    let observed = checker.finish().await;
    assert!(observed.most_in_flight <= 20_000, "{observed:?}");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_flight_stays_bounded_while_postgresql_is_unreachable() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(4_000);
    load.seed(&world).await;
    world.create_consumers(Duration::from_secs(30), 1_000).await;
    let node = world.start_node().await;
    world.postgres.as_mut().expect("its own").kill();
    world.publish(load.messages.clone()).await;
    let in_flight = async || node.metrics().await.count("ingest_in_flight", &[("consumer", "ingest-workers")]);
    wait_for("a full window", DEADLINE, async || in_flight().await == 1_000).await;
    wait_for_ready_status(&node, 503).await;
    assert_eq!(in_flight().await, 1_000);
    world.postgres.as_mut().expect("its own").start_again();
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_for_longer_than_the_ack_wait_causes_no_redelivery() {
    let world = World::with_own_postgres().await;
    let load = Workload::good(1_000);
    load.seed(&world).await;
    // The node says three times within it that it still works on them: a busy machine may delay it by some seconds.
    let ack_wait = Duration::from_secs(8);
    world.create_consumers(ack_wait, 60_000).await;
    let node = world.start_node().await;
    world.postgres.as_ref().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    let frozen_since = Instant::now();
    wait_for("twice the ack wait", DEADLINE, async || frozen_since.elapsed() > 2 * ack_wait).await;
    world.postgres.as_ref().expect("its own").resume();
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_deliveries_received_total", &[("consumer", "ingest-workers")]), 1_000);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_nats_loses_and_doubles_nothing() {
    let mut world = World::new().await;
    let load = Workload::with_bad(6_000, 100);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let mut node = world.start_node().await;
    let checker = InvariantChecker::of(&node);
    world.publish(load.messages.clone()).await;
    wait_for("some acknowledgements", DEADLINE, async || acked(&node).await >= 200).await;

    world.nats.stop();
    wait_for_ready_status(&node, 503).await;
    assert!(node.is_running());
    world.nats.start_again();
    wait_for_ready_status(&node, 200).await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    load.assert_all_there(&world).await;
    checker.finish().await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_influxdb_delays_no_acknowledgement_and_its_points_come_later() {
    let mut world = World::new().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    let node = world.start_node().await;
    world.influx.stop().await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 2_000);
    assert_eq!(world.influx.total_points(), 0);
    assert_eq!(node.ready_status().await, Some(200), "best effort: InfluxDB is no condition of readiness");
    world.influx.start_again();
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbox_entries_of_a_killed_node_are_written_by_the_next_one() {
    let mut world = World::new().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    world.influx.stop().await;
    let mut node = world.start_node().await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    node.sigkill();
    world.influx.start_again();

    let node = world.start_node().await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_influxdb_hangs_delays_no_other() {
    let world = World::new().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    let node = world.start_node().await;
    world.influx.hang(Some(&database("tenant-0")));
    world.publish(load.messages.clone()).await;
    wait_for("the points of the other tenants", DEADLINE, async || world.influx.total_points() == 1_600).await;
    assert_eq!(world.influx.point_count(&database("tenant-0")), 0);
    world.wait_settled(LANES[0], DEADLINE).await;
    world.influx.release();
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_point_is_required_nothing_is_acknowledged_before_it_is_durable() {
    let mut world = World::new().await;
    let load = Workload::good(500);
    load.seed(&world).await;
    world.influx.stop().await;
    let node = start(world.node().env("INFLUXDB_WRITE_POLICY", "required")).await;
    world.publish(load.messages.clone()).await;
    wait_for("all to be in flight", DEADLINE, async || {
        node.metrics().await.count("ingest_deliveries_received_total", &[("consumer", "ingest-workers")]) >= 500
    })
    .await;
    wait_for("the rows", DEADLINE, async || world.database.count("raw_events").await == 500).await;
    assert_eq!(acked(&node).await, 0);
    world.influx.start_again();
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}
