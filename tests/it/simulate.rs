//! The simulator against real servers, and the node against the simulator's word.

use std::collections::BTreeMap;

use ingest_kit::{seed, wait_for};
use serde::Deserialize;
use serde_json::json;

use crate::world::{DEADLINE, LANES, World, drain};

/// The line that a simulation prints at its end.
#[derive(Debug, Deserialize)]
struct Summary {
    published: u64,
    accepted: u64,
    rejected: BTreeMap<String, u64>,
}

async fn simulate(world: &World, arguments: &[&str]) -> Summary {
    let run = world.node().arguments(&[&["simulate"], arguments].concat());
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout.trim().lines().count(), 1, "{}", finished.stdout);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {}", finished.stdout))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_publishes_what_it_says_and_seeds_what_it_needs() {
    let world = World::new().await;
    let fleet = ["--devices", "25", "--tenants", "3", "--messages", "2000", "--bad-share", "0.1"];
    let summary = simulate(&world, &[&fleet[..], &["--lift-rate-limit"]].concat()).await;
    assert_eq!(summary.published, 2_000);
    assert_eq!(summary.accepted + summary.rejected.values().sum::<u64>(), 2_000);
    assert_eq!(summary.rejected.len(), 18, "{summary:?}");
    let stream = world.jetstream.get_stream("TELEMETRY").await.expect("the stream");
    assert_eq!(stream.cached_info().state.messages, 2_000);
    // The devices that send and the four that exist to be refused.
    assert_eq!(world.database.count("device_registry").await, 29);
    assert_eq!(world.database.count("app_settings WHERE key = 'RATE_LIMIT_RPS' AND value = '0'").await, 1);

    // A second run finds its registry as it left it, and says the same.
    let again = simulate(&world, &fleet).await;
    assert_eq!((again.accepted, again.rejected), (summary.accepted, summary.rejected));
    assert_eq!(world.database.count("device_registry").await, 29);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_simulator_expects_is_what_the_node_does() {
    let world = World::new().await;
    let node = world.start_node().await;
    let summary =
        simulate(&world, &["--devices", "25", "--messages", "3000", "--bad-share", "0.1", "--lift-rate-limit"]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE accepted").await, summary.accepted);
    let rejected: BTreeMap<_, _> = node.metrics().await.by_label_of("ingest_rejections_total", &[], "reason");
    let rejected: BTreeMap<_, _> = rejected.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(json!(rejected), json!(summary.rejected));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifted_rate_limit_is_put_back_when_the_messages_are_taken() {
    let world = World::new().await;
    seed::app_settings(&world.database, &[("RATE_LIMIT_RPS", "7")]).await;
    let node = world.start_node().await;
    // Two devices: with the limit in force most of it would be refused.
    let summary = simulate(&world, &["--devices", "2", "--messages", "2000", "--lift-rate-limit"]).await;
    assert_eq!(rate_limit(&world).await, "7");
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE accepted").await, summary.accepted);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifted_rate_limit_is_put_back_after_a_signal_and_after_a_failure() {
    let world = World::new().await;
    seed::app_settings(&world.database, &[("RATE_LIMIT_RPS", "7")]).await;
    let run = || {
        let endless = ["simulate", "--devices", "2", "--messages", "0", "--rate", "100", "--lift-rate-limit"];
        world.node().arguments(&endless).start()
    };
    let lifted = async || wait_for("the limit to be lifted", DEADLINE, async || rate_limit(&world).await == "0").await;
    let mut interrupted = run();
    lifted().await;
    interrupted.sigint();
    assert_eq!(interrupted.wait_exit(DEADLINE).await, Some(0));
    assert_eq!(rate_limit(&world).await, "7");

    let mut failing = run();
    lifted().await;
    // The stream goes away under it.
    world.jetstream.delete_stream(LANES[0].0).await.expect("the stream's end");
    assert_eq!(failing.wait_exit(DEADLINE * 2).await, Some(69));
    assert_eq!(rate_limit(&world).await, "7");
}

async fn rate_limit(world: &World) -> String {
    world.database.query("SELECT value FROM app_settings WHERE key = 'RATE_LIMIT_RPS'", &[]).await[0].get(0)
}

#[tokio::test]
async fn shares_that_are_none_end_with_64() {
    let world = World::new().await;
    let finished = world.node().arguments(&["simulate", "--bad-share", "2"]).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert!(finished.stderr.contains("a number from 0 to 1 is needed"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_database_without_the_schema_is_said_to_need_migration() {
    let database = ingest_kit::Postgres::shared().create_database().await;
    let run = crate::world::node().env("DATABASE_URL", database.url()).arguments(&["simulate"]);
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(finished.stderr.contains("run `ingest-node migrate` first"), "{}", finished.stderr);
}
