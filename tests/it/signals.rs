//! Shutdown signals at any moment.

use std::time::Duration;

use ingest_kit::{free_port, wait_for};

use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigterm_between_the_dependencies_and_the_first_pull_is_handled() {
    let world = World::new().await;
    let mut node = world.node().env("INGEST_FAILPOINTS", "dependencies=pause@1").start();
    wait_for("the pause", DEADLINE, async || node.log().contains("dependencies connected")).await;
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigterm_while_the_dependencies_are_unreachable_stops_the_node_at_once() {
    let world = World::new().await;
    for (name, url) in [
        ("NATS_URL", format!("nats://127.0.0.1:{}", free_port())),
        ("DATABASE_URL", format!("postgres://ingest@127.0.0.1:{}/x", free_port())),
    ] {
        let mut node = world.node().env(name, url).start();
        wait_for("the wait", DEADLINE, async || node.log().contains("waiting for")).await;
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{}", node.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigterm_at_any_moment_of_a_start_leads_to_exit_code_0() {
    let world = World::new().await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    world.publish(load.messages.clone()).await;
    for moment in 0..12 {
        let mut node = world.node().start();
        // From its first log line on: before it the signal handlers are not installed.
        wait_for("the first heartbeat", DEADLINE, async || node.get("/health").await.is_some()).await;
        // Not a wait for a condition: these are the moments of the signals.
        tokio::time::sleep(Duration::from_millis(moment * 40)).await;
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "after {} ms: {}", moment * 40, node.log());
    }
    let node = world.start_node().await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_signals_during_a_drain_change_nothing() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(200);
    load.seed(&world).await;
    let mut node = start(world.node()).await;
    world.postgres.as_mut().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    wait_for("deliveries in flight", DEADLINE, async || {
        node.metrics().await.count("ingest_in_flight", &[("consumer", LANES[0].1)]) == 200
    })
    .await;
    node.sigterm();
    wait_for("the drain", DEADLINE, async || node.ready_status().await == Some(503)).await;
    node.sigterm();
    node.sigint();
    node.sigterm();
    world.postgres.as_mut().expect("its own").resume();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{}", node.log());
    load.assert_all_there(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_mean_nothing_here_end_nothing() {
    let world = World::new().await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let mut node = start(world.node()).await;
    node.sigusr();
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert!(node.is_running(), "{}", node.log());
    drain(node).await;
}
