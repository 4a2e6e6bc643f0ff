//! Consumers with a finite `max_deliver`: an outage of any dependency uses up no attempt.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream;
use ingest_kit::seed::{self, Route};
use ingest_kit::{Node, NodeBuilder, wait_for};
use serde_json::{Map, Value};

use super::{Configured, in_flight};
use crate::workload::{Workload, acked};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Deliveries are NAKed or retried so soon that an outage of a few seconds is longer than three attempts.
const HASTY: &str = "[nats]\nhold_secs = 1\nnak_delay_ms = 100\nnak_delay_max_ms = 500\n\
    [influx.buffer]\nhold_secs = 1\nhold_lines = 10\n[routes]\nretry_secs = 1\n";
const OUTAGE: Duration = Duration::from_secs(8);

async fn limited_world(max_deliver: i64) -> World {
    let world = World::with_own_postgres().await;
    let config =
        pull::Config { ack_wait: Duration::from_secs(2), max_ack_pending: 60_000, max_deliver, ..Default::default() };
    world.create_consumers_like(config).await;
    world
}

async fn let_the_outage_pass() {
    let begun = Instant::now();
    wait_for("the outage to pass", DEADLINE, async || begun.elapsed() > OUTAGE).await;
}

async fn finish(world: &World, load: &Workload, node: Node) {
    world.wait_settled(LANES[0], 2 * DEADLINE).await;
    load.assert_all_there(world).await;
    drain(node).await;
}

async fn survives_an_outage_of_postgresql(max_deliver: i64) {
    let world = limited_world(max_deliver).await;
    let load = Workload::with_bad(300, 30);
    load.seed(&world).await;
    let config = Configured::with(HASTY);
    let node = start(config.node(&world)).await;
    world.postgres.as_ref().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    let_the_outage_pass().await;
    world.postgres.as_ref().expect("its own").resume();
    finish(&world, &load, node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_uses_up_no_attempt_of_one() {
    survives_an_outage_of_postgresql(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_uses_up_no_attempt_of_three() {
    survives_an_outage_of_postgresql(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_loses_nothing_where_attempts_are_not_counted() {
    survives_an_outage_of_postgresql(-1).await;
}

async fn survives_an_outage_of_influxdb(max_deliver: i64) {
    let mut world = limited_world(max_deliver).await;
    let load = Workload::good(300);
    load.seed(&world).await;
    let config = Configured::with(HASTY);
    let node = start(config.node(&world).env("INFLUXDB_WRITE_POLICY", "required")).await;
    world.influx.stop().await;
    world.publish(load.messages.clone()).await;
    let_the_outage_pass().await;
    assert_eq!(acked(&node).await, 0, "without its point no message may be acknowledged");
    world.influx.start_again();
    finish(&world, &load, node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_required_influxdb_uses_up_no_attempt_of_one() {
    survives_an_outage_of_influxdb(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_required_influxdb_uses_up_no_attempt_of_three() {
    survives_an_outage_of_influxdb(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_required_influxdb_loses_nothing_where_attempts_are_not_counted() {
    survives_an_outage_of_influxdb(-1).await;
}

/// A route that takes every message of the first tenant.
fn route() -> Route {
    Route {
        tenant_id: "tenant-0".to_owned(),
        name: "all".to_owned(),
        topic_filter: "#".to_owned(),
        destination_type: "webhook".to_owned(),
        destination_config: Value::Object(Map::new()),
        payload_filter: None,
        is_enabled: true,
    }
}

async fn survives_a_full_routes_stream(max_deliver: i64) {
    let world = limited_world(max_deliver).await;
    let load = Workload::good(100);
    load.seed(&world).await;
    seed::routes(&world.database, &[route()]).await;
    let full = async |max_messages: i64| {
        let config = stream::Config {
            name: "ROUTES".to_owned(),
            subjects: vec!["routes.>".to_owned()],
            discard: stream::DiscardPolicy::New,
            max_messages,
            ..Default::default()
        };
        world.jetstream.update_stream(config).await.expect("ROUTES is altered").state.messages
    };
    full(5).await;
    let config = Configured::with(HASTY);
    let node = start(config.node(&world)).await;
    world.publish(load.messages.clone()).await;
    let_the_outage_pass().await;
    assert_eq!(full(1_000).await, 5, "ROUTES was not full");
    wait_for("every job to be in ROUTES", 2 * DEADLINE, async || full(1_000).await == 20).await;
    finish(&world, &load, node).await;
    assert_eq!(full(1_000).await, 20, "a job was published twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_routes_stream_uses_up_no_attempt_of_one() {
    survives_a_full_routes_stream(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_routes_stream_uses_up_no_attempt_of_three() {
    survives_a_full_routes_stream(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_routes_stream_loses_no_job_where_attempts_are_not_counted() {
    survives_a_full_routes_stream(-1).await;
}

/// A node whose drain cannot complete.
fn leaving(world: &World, config: &Configured) -> NodeBuilder {
    config.node(world).env("DRAIN_TIMEOUT_SECONDS", 5)
}

async fn survives_drains_past_their_deadline(max_deliver: i64, drains: usize) {
    let world = limited_world(max_deliver).await;
    let load = Workload::good(300);
    load.seed(&world).await;
    let config = Configured::with(HASTY);
    let cluster = world.postgres.as_ref().expect("its own");
    world.publish(load.messages.clone()).await;
    for _ in 0..drains {
        let blocker = world.database.connect().await;
        blocker.batch_execute("BEGIN; LOCK raw_events IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
        let mut node = start(leaving(&world, &config)).await;
        wait_for("deliveries in flight", DEADLINE, async || in_flight(&node).await > 0).await;
        cluster.pause();
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(75), "{}", node.log());
        cluster.resume();
        drop(blocker);
    }
    let node = start(config.node(&world)).await;
    finish(&world, &load, node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_past_their_deadline_lose_nothing_with_one_attempt() {
    survives_drains_past_their_deadline(1, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_past_their_deadline_lose_nothing_with_three_attempts() {
    survives_drains_past_their_deadline(3, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_past_their_deadline_lose_nothing_where_attempts_are_not_counted() {
    survives_drains_past_their_deadline(-1, 2).await;
}
