//! The node dies as by SIGKILL around commit and confirmation: the next one finishes, and nothing is lost or changed.

use std::time::Duration;

use super::readings::Readings;
use super::scene::with_settings;
use crate::world::{DEADLINE, LANES, World, drain, start};

const MESSAGES: u64 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_before_its_commit_leaves_nothing_that_the_next_one_does_not_write() {
    killed_at("writer=kill@3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_after_its_commit_and_before_anything_is_handed_on_still_owes_the_points() {
    let owed = killed_at("writer-committed=kill@3").await;
    assert!(owed > 0, "the points of the committed rows are not on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_before_a_batch_is_sent_still_owes_it() {
    let owed = killed_at("batcher=kill@3").await;
    assert!(owed > 0, "the batch is not on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_between_the_answer_and_its_confirmation_has_written_what_is_written_again() {
    let owed = killed_at("batcher-answered=kill@3").await;
    assert!(owed > 0, "the batch is not on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_before_it_clears_the_record_has_written_what_is_written_again() {
    let owed = killed_at("outbox-confirmed=kill@1").await;
    assert!(owed > 0, "the record was cleared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_after_it_has_claimed_a_replay_leaves_it_to_the_next_one() {
    let mut world = World::new().await;
    let load = Readings::of(3, MESSAGES);
    load.seed(&world).await;
    world.influx.stop().await;
    let first = start(world.missed_node()).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(first).await;
    assert_eq!(world.owed_lines("%").await, MESSAGES);

    world.influx.start_again();
    let mut second = world.missed_node().env("INGEST_FAILPOINTS", "redelivery-claimed=kill@1").start();
    assert_eq!(second.wait_exit(DEADLINE).await, None, "{}", second.log());
    assert_eq!(world.influx.total_points(), 0);
    let sql = "influx_outbox WHERE claimed AND owner IS NOT NULL";
    assert!(world.database.count(sql).await > 0, "nothing was claimed");

    let third = start(world.missed_node()).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    drain(third).await;
}

/// Kills a node there, checks that the next one finishes, and returns how many lines were on record between the two.
async fn killed_at(failpoint: &str) -> u64 {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Readings::of(3, MESSAGES);
    load.seed(&world).await;
    // So that there is always something unconfirmed.
    world.influx.set_latency(Duration::from_millis(30));
    world.publish(load.messages.clone()).await;
    let node = world.missed_node().env("BATCH_SIZE", 100).env("INFLUX_BATCH_SIZE", 100);
    let (node, _dir) = with_settings(node, "outbox.replay_interval_ms = 500");
    let mut first = node.clone().env("INGEST_FAILPOINTS", failpoint).start();
    assert_eq!(first.wait_exit(DEADLINE).await, None, "it was to be killed: {}", first.log());
    let owed = world.owed_lines("%").await;
    assert!(owed > 0 || !world.is_settled(LANES[0]).await, "the node was killed too late to matter");

    let second = start(node).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    drain(second).await;
    owed
}
