//! A stream or consumer is deleted and recreated under its name while deliveries of the old one are held.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use ingest_kit::wait_for;

use super::{Configured, in_flight, settled};
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// The ack wait has to pass before deliveries of a killed node are redelivered.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Deletes and recreates the telemetry stream and its consumer.
async fn recreate_stream(world: &World) {
    world.jetstream.delete_stream(LANES[0].0).await.expect("the stream is deleted");
    world.create_quickly_redelivering_consumers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_while_the_stream_was_recreated_acknowledges_nothing_of_the_new_one() {
    let world = World::with_own_postgres().await;
    let load = Workload::good(100);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let (mut paused, mut victim) = (world.start_node().await, world.start_node().await);
    let cluster = world.postgres.as_ref().expect("its own");
    cluster.pause();
    let (old, new) = load.messages.split_at(50);
    world.publish(old.to_vec()).await;
    wait_for("the old ones in flight on both", DEADLINE, async || {
        in_flight(&paused).await + in_flight(&victim).await == 50 && in_flight(&paused).await > 10
    })
    .await;
    paused.pause();

    recreate_stream(&world).await;
    world.publish(new.to_vec()).await;
    // The other replica holds the new ones and is killed before it could store them.
    wait_for("the new ones in flight on one replica", DEADLINE, async || in_flight(&victim).await == 50).await;
    victim.sigkill();
    cluster.resume();
    paused.resume();

    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    let new_rows = "(SELECT DISTINCT device_id, seq FROM raw_events WHERE seq >= 50) AS rows";
    wait_for("every new message to be stored", DEADLINE, async || world.database.count(new_rows).await == 50).await;
    let rows = world.database.count("raw_events").await;
    let distinct = "(SELECT DISTINCT device_id, seq FROM raw_events) AS rows";
    assert_eq!(world.database.count(distinct).await, rows, "doubled");
    drain(paused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_of_the_new_stream_are_not_acknowledged_by_old_sequence_numbers() {
    let world = World::with_own_postgres().await;
    let load = Workload::good(23);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let holder = Configured::with("[nats]\nwindow = 11\n");
    // A full window: no pull request is open that the broker could end.
    let holder = start(holder.node(&world)).await;
    // It is ready before PostgreSQL freezes, and sees no message before the stream is a new one.
    let mut victim = world.start_node().await;
    victim.pause();
    let cluster = world.postgres.as_ref().expect("its own");
    cluster.pause();
    let (old, new) = load.messages.split_at(11);
    world.publish(old.to_vec()).await;
    wait_for("a full window", DEADLINE, async || in_flight(&holder).await >= 5).await;
    recreate_stream(&world).await;
    wait_for("the replica to notice", DEADLINE, async || in_flight(&holder).await == 0).await;
    holder.wait_logged("made again", 1).await;
    assert_eq!(settled(&holder, "ack").await, 0);

    victim.resume();
    world.publish(new.to_vec()).await;
    wait_for("the new ones in flight on another replica", DEADLINE, async || in_flight(&victim).await > 0).await;
    victim.sigkill();
    cluster.resume();
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    // Of the old ones those are there that the holder had received; of the new ones all.
    wait_for("every new message to be stored", DEADLINE, async || {
        world.database.count("raw_events WHERE seq >= 11").await == 12
    })
    .await;
    drain(holder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_window_of_a_deleted_stream_is_discarded_without_acknowledgements() {
    let world = World::with_own_postgres().await;
    let load = Workload::good(30);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let config = Configured::with("[nats]\nwindow = 10\n");
    let node = start(config.node(&world)).await;
    let cluster = world.postgres.as_ref().expect("its own");
    cluster.pause();
    let (old, new) = load.messages.split_at(10);
    world.publish(old.to_vec()).await;
    wait_for("a full window", DEADLINE, async || in_flight(&node).await == 10).await;
    recreate_stream(&world).await;
    world.publish(new.to_vec()).await;
    wait_for("the old ones to be discarded", DEADLINE, async || settled(&node, "nak").await == 10).await;
    cluster.resume();
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    assert_eq!((settled(&node, "ack").await, settled(&node, "nak").await), (20, 10));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreated_consumer_doubles_nothing_on_two_replicas() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::with_bad(2_000, 100);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let (one, other) = (world.start_node().await, world.start_node().await);
    world.postgres.as_mut().expect("its own").pause();
    world.publish(load.messages.clone()).await;
    wait_for("deliveries in flight on both", DEADLINE, async || {
        in_flight(&one).await > 0 && in_flight(&other).await > 0
    })
    .await;
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    let config = pull::Config {
        durable_name: Some(LANES[0].1.to_owned()),
        ack_wait: Duration::from_secs(3),
        max_ack_pending: 60_000,
        ..Default::default()
    };
    // A node may have created it first: the nodes bind to what exists.
    let _ = stream.create_consumer(config).await;
    wait_for("both to notice", DEADLINE, async || {
        [&one, &other].into_iter().all(|node| node.log().contains("made again"))
    })
    .await;
    world.postgres.as_mut().expect("its own").resume();
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    drain(one).await;
    drain(other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_with_an_empty_store_gets_no_acknowledgement_of_earlier_deliveries() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(25);
    load.seed(&world).await;
    world.create_quickly_redelivering_consumers().await;
    let node = world.start_node().await;
    world.postgres.as_ref().expect("its own").pause();
    let (old, new) = load.messages.split_at(10);
    world.publish(old.to_vec()).await;
    wait_for("the old ones in flight", DEADLINE, async || in_flight(&node).await == 10).await;
    world.nats.kill();
    world.nats.wipe();
    // What is in flight is stored while the broker is down; its acknowledgements must not reach the next broker.
    world.postgres.as_ref().expect("its own").resume();
    wait_for("the old ones to be stored", DEADLINE, async || world.database.count("raw_events").await == 10).await;
    world.nats.start_again();
    world.create_quickly_redelivering_consumers().await;
    world.publish(new.to_vec()).await;
    world.wait_settled(LANES[0], SETTLED_WITHIN).await;
    load.assert_all_there(&world).await;
    assert_eq!((settled(&node, "ack").await, settled(&node, "nak").await), (15, 10));
    drain(node).await;
}
