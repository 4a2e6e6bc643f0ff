//! Drain at shutdown.

use std::time::Duration;

use ingest_kit::jetstream::consumer_info;
use ingest_kit::{wait_for, wait_for_value};

use crate::workload::{Workload, acked};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// What is not settled is redelivered only after this; no test here waits so long.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// Most messages that the broker sends while it processes the unsubscription; a few were seen, of a window of 1,000.
const SENT_DURING_UNSUBSCRIPTION: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_ends_in_time_and_what_is_committed_is_never_redelivered() {
    let world = World::new().await;
    let load = Workload::with_bad(20_000, 100);
    load.seed(&world).await;
    // A window that is small against the load: most of it is still to come when the drain begins.
    world.create_consumers(ACK_WAIT, 1_000).await;
    world.publish(load.messages.clone()).await;

    let mut node = world.start_node().await;
    wait_for("some acknowledgements", DEADLINE, async || acked(&node).await >= 1_000).await;
    node.sigterm();
    // A drain that is not done in its time, by the node's clock, ends with 75.
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0));

    let committed = world.database.count("raw_events").await + world.database.count("quarantine_events").await;
    assert!(committed < 20_000, "the drain came too late to matter");
    // Everything that is committed is acknowledged: the rest is all that is left to deliver. The node has sent its last
    // acknowledgements before it ended; the broker may still be counting them. One that it has delivered again (NAKed by
    // the drain) it may count as pending and as unacknowledged at once.
    let uncommitted = 20_000 - committed;
    let twice = wait_for_value("the broker to count what is left", DEADLINE, async || {
        let info = consumer_info(&world.jetstream, LANES[0].0, LANES[0].1).await.expect("the consumer");
        let (left, redelivered) = (info.num_pending + info.num_ack_pending as u64, info.num_redelivered as u64);
        (uncommitted..=uncommitted + redelivered).contains(&left).then_some(redelivered)
    })
    .await;

    // A replica takes the rest at once: unprocessed messages were NAKed, not left to time out. But for those that the
    // broker sends at the very moment of the unsubscription: they come after ack_wait (nats-server 2.9).
    let node = world.start_node().await;
    wait_for("the rest to be taken", DEADLINE, async || {
        let info = consumer_info(&world.jetstream, LANES[0].0, LANES[0].1).await.expect("the consumer");
        info.num_pending + info.num_ack_pending as u64 <= SENT_DURING_UNSUBSCRIPTION
    })
    .await;
    world.wait_settled(LANES[0], ACK_WAIT + DEADLINE).await;
    let metrics = node.metrics().await;
    let stored: u64 = ["ingest_postgres_rows_total", "ingest_quarantine_events_total"]
        .iter()
        .map(|name| metrics.count(name, &[]))
        .sum();
    assert_eq!(stored, uncommitted, "what the first node has committed is not the second one's work");
    assert!(metrics.count("ingest_postgres_duplicates_suppressed_total", &[]) <= twice, "more than {twice}");
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_stops_at_once() {
    let world = World::new().await;
    // Whatever a drain may wait for, it waits for a part of this.
    let mut node = start(world.node().env("DRAIN_TIMEOUT_SECONDS", 600)).await;
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_past_its_deadline_exits_with_75_and_reports_what_is_left() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(200);
    load.seed(&world).await;
    let mut node = start(world.node().env("DRAIN_TIMEOUT_SECONDS", 3)).await;
    world.postgres.as_mut().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    wait_for("deliveries in flight", DEADLINE, async || {
        node.metrics().await.count("ingest_in_flight", &[("consumer", "ingest-workers")]) == 200
    })
    .await;
    node.sigterm();
    // PostgreSQL stays frozen: without the deadline the drain would not end.
    assert_eq!(node.wait_exit(DEADLINE).await, Some(75));
    node.wait_logged("200", 1).await;
    world.postgres.as_mut().expect("its own").resume();
    assert_eq!(world.database.count("quarantine_events").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_exits_during_the_drain_is_not_counted_as_drained() {
    let world = World::new().await;
    world.create_consumers(Duration::from_secs(3), 60_000).await;
    let load = Workload::good(200);
    load.seed(&world).await;
    // Rows wait for their flush, which happens during the drain and panics.
    let quiet = world.node().env("FLUSH_INTERVAL_MS", 12_000).env("BATCH_SIZE", 10_000);
    let mut node = start(quiet.env("INGEST_FAILPOINTS", "writer-committed=panic@1")).await;
    world.publish(load.messages.clone()).await;
    wait_for("deliveries in flight", DEADLINE, async || {
        node.metrics().await.count("ingest_in_flight", &[("consumer", "ingest-workers")]) == 200
    })
    .await;
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(75), "{}", node.log());
    node.wait_logged("the writer exited during the drain", 1).await;

    let node = world.start_node().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}
