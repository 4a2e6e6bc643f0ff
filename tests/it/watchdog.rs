//! Watchdog: a stalled thread is detected and its generation rebuilt; intended waits restart nothing.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use ingest_kit::{Node, NodeBuilder, wait_for};
use tempfile::TempDir;

use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Time for the stall bound, one redelivery and the rest of the work.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// A node with this `stuck_after_secs`; keep the directory as long as the node.
fn watched(world: &World, stuck_after_secs: u64) -> (TempDir, NodeBuilder) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    let text = format!(
        "[supervisor]\nstuck_after_secs = {stuck_after_secs}\n[postgres]\ntransaction_timeout_secs = 2\n\
         [influx.target]\nrequest_timeout_secs = 2\n[state]\nwrite_timeout_secs = 2\nflush_interval_secs = 1\n"
    );
    std::fs::write(&file, text).expect("a file");
    let arguments = ["--config", file.to_str().expect("UTF-8"), "run"];
    let node = world.node().arguments(&arguments);
    (dir, node)
}

/// The actors to which restarts are attributed.
async fn restarted(node: &Node) -> Vec<String> {
    let restarts = node.metrics().await.by_label_of("ingest_actor_restarts_total", &[], "actor");
    restarts.into_iter().filter(|(_, count)| *count > 0).map(|(actor, _)| actor).collect()
}

/// Runs a load through a node one of whose threads blocks forever.
async fn survives(failpoint: &str, residents: &[&str]) {
    let world = World::new().await;
    // A request for messages outlives a consumer that stands still, and what comes for it is delivered again only then.
    let (ack_wait, max_expires) = (Duration::from_secs(3), Duration::from_secs(4));
    world
        .create_consumers_like(pull::Config { ack_wait, max_expires, max_ack_pending: 60_000, ..Default::default() })
        .await;
    let load = Workload::good(2_000);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    let (_dir, node) = watched(&world, 3);
    // What the generation before owes is another owner's.
    let node = start(node.env("INFLUX_TAKEOVER_SECONDS", 3).env("INGEST_FAILPOINTS", failpoint)).await;
    wait_for("a restart", SETTLED_WITHIN, async || !restarted(&node).await.is_empty()).await;
    let restarted = restarted(&node).await;
    assert!(restarted.iter().all(|actor| residents.contains(&actor.as_str())), "{restarted:?}");
    node.wait_logged("stands still", 1).await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_consumer_thread_is_replaced() {
    survives("source-admit=block@2", &["consumer"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_validator_is_replaced() {
    survives("validator=block@2", &["validator"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_writer_thread_is_replaced() {
    survives("writer-committed=block@1", &["router", "writer", "registry"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_derived_state_thread_is_replaced() {
    survives(
        "state-writer=block@1",
        &["outbox-maintainer", "quarantine-writer", "publisher", "state-writer", "silence-watcher", "redelivery"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_batcher_thread_is_replaced() {
    survives("batcher=block@1", &["router"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_beyond_the_bound_restarts_nothing() {
    let world = World::with_own_postgres().await;
    let load = Workload::good(500);
    load.seed(&world).await;
    let (_dir, node) = watched(&world, 6);
    let node = start(node).await;
    // The devices are known before the outage, so that rows wait, not look-ups.
    let (first, rest) = load.messages.split_at(100);
    world.publish(first.to_vec()).await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    let cluster = world.postgres.as_ref().expect("a cluster of its own");
    cluster.pause();
    world.publish(rest.to_vec()).await;
    let attempts = async || node.metrics().await.count("ingest_postgres_flushes_total", &[("result", "failed")]);
    // Each takes its timeout of two seconds.
    wait_for("attempts for longer than the bound", SETTLED_WITHIN, async || attempts().await >= 5).await;
    cluster.resume();
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    assert!(restarted(&node).await.is_empty(), "{}", node.log());
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_paused_for_longer_than_the_bound_continues() {
    let world = World::new().await;
    let load = Workload::good(500);
    load.seed(&world).await;
    let (_dir, node) = watched(&world, 3);
    let mut node = start(node).await;
    node.pause();
    // Not a wait for a condition: this is how long it is paused.
    tokio::time::sleep(Duration::from_secs(6)).await;
    node.resume();
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    node.wait_ready(DEADLINE).await;
    assert!(restarted(&node).await.is_empty(), "{}", node.log());
    drain(node).await;
}
