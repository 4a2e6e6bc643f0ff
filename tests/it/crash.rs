//! Crashes: the node panics or is killed at every stage.

use std::time::Duration;

use ingest_kit::{Node, wait_for};

use crate::ledger::InvariantChecker;
use crate::workload::{Workload, acked};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Messages of a load that meets panics.
const MESSAGES: usize = 3_000;

/// Longest time for a few thousand messages including one redelivery.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_node_under_load_loses_and_doubles_nothing() {
    let world = World::with_own_postgres().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::with_bad(5_000, 100);
    load.seed(&world).await;
    let (first, rest) = load.messages.split_at(1_000);
    world.publish(first.to_vec()).await;

    let mut node = world.start_node().await;
    wait_for("some acknowledgements", DEADLINE, async || acked(&node).await >= 500).await;
    // A frozen database keeps the rest in flight, some of it in transactions whose end the node will never learn.
    let cluster = world.postgres.as_ref().expect("a cluster of its own");
    cluster.pause();
    world.publish(rest.to_vec()).await;
    let in_flight = async |node: &Node| node.metrics().await.count("ingest_in_flight", &[("consumer", LANES[0].1)]);
    wait_for("deliveries in flight", DEADLINE, async || in_flight(&node).await >= 1_000).await;
    node.sigkill();
    cluster.resume();
    assert!(!world.is_settled(LANES[0]).await, "the node was killed too late to matter");

    let node = world.start_node().await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_restart_budget_is_spent_exits_with_70() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[supervisor]\nrestart_budget = 0\n").expect("a file");
    let load = Workload::with_bad(10, 0);
    load.seed(&world).await;

    let arguments = ["--config", file.to_str().expect("UTF-8"), "run"];
    let mut node = start(world.node().arguments(&arguments).env("INGEST_FAILPOINTS", "validator=panic@1")).await;
    world.publish(load.messages.clone()).await;
    assert_eq!(node.wait_exit(DEADLINE).await, Some(70), "{}", node.log());

    let node = world.start_node().await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_validator_loses_and_doubles_nothing() {
    survives("validator=panic@3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_registry_loses_and_doubles_nothing() {
    survives("registry=panic@2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_writer_before_its_commit_loses_and_doubles_nothing() {
    survives("writer=panic@2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_writer_after_its_commit_loses_and_doubles_nothing() {
    survives("writer-committed=panic@2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_batcher_loses_and_doubles_nothing() {
    survives("batcher=panic@2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_in_several_places_lose_and_double_nothing() {
    // What panics while another's generation ends is not told apart. So the first message goes alone, and meets one after the other.
    survives_in_parts(1, "validator=panic@1;batcher=panic@1;writer=panic@2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_consumer_during_admission_loses_and_doubles_nothing() {
    survives("source-admit=panic@3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_consumer_during_settlement_loses_and_doubles_nothing() {
    survives("source-settle=panic@3").await;
}

/// Runs a load through a node that panics at failpoints and recovers by restarts.
async fn survives(failpoints: &str) {
    survives_in_parts(MESSAGES, failpoints).await;
}

/// The same with a load whose first messages are settled before the rest is published.
async fn survives_in_parts(first: usize, failpoints: &str) {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::with_bad(MESSAGES, 100);
    load.seed(&world).await;
    let (first, rest) = load.messages.split_at(first);
    world.publish(first.to_vec()).await;

    let mut node = start(world.node().env("INGEST_FAILPOINTS", failpoints)).await;
    let checker = InvariantChecker::of(&node);
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    world.publish(rest.to_vec()).await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    checker.finish().await;
    let in_flight = node.metrics().await.count("ingest_in_flight", &[("consumer", LANES[0].1)]);
    assert_eq!(in_flight, 0, "the deliveries of an exited consumer are still counted");

    let restarts = node.metrics().await.by_label_of("ingest_actor_restarts_total", &[], "actor");
    for place in failpoints.split(';').filter_map(|entry| entry.split(['-', '=']).next()) {
        let place = if place == "source" { "consumer" } else { place };
        assert!(restarts.get(place).is_some_and(|count| *count > 0), "{place} was never restarted: {restarts:?}");
    }
    node.wait_ready(DEADLINE).await;
    drain(node).await;
}
