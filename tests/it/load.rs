//! Good and bad messages together.

use std::time::Duration;

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{envelope, seed};

use crate::ledger::{InvariantChecker, assert_balanced};
use crate::workload::{NO_POISON, Workload, acked, poison};
use crate::world::{DEADLINE, LANES, World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_good_message_is_stored_once_and_every_bad_one_is_in_quarantine_with_its_reason() {
    let world = World::new().await;
    let load = Workload::with_bad(20_000, 100);
    load.seed(&world).await;
    let node = world.start_node().await;
    let checker = InvariantChecker::of(&node);
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], Duration::from_secs(90)).await;
    let observed = checker.finish().await;
    assert!(observed.busy_scrapes > 0, "the account was never looked at under load: {observed:?}");

    load.assert_all_there(&world).await;
    let metrics = node.metrics().await;
    assert_balanced(&metrics);
    assert_eq!(metrics.count("ingest_events_accepted_total", &[]), load.good_count() as u64);
    assert_eq!(metrics.count("ingest_rejections_total", &[]), 200);
    assert_eq!(metrics.count("ingest_postgres_rows_total", &[]), load.good_count() as u64);
    assert_eq!(metrics.count("ingest_postgres_duplicates_suppressed_total", &[]), 0);
    assert_eq!(acked(&node).await, 20_000);
    assert_eq!(node.get("/health").await.map(|answer| answer.status), Some(200));
    assert!(node.stats().await.is_object());

    let log = node.log();
    assert!(!log.contains("tok-secret"), "a token is in the log");
    drain(node).await;
    assert_eq!(world.database.occurrences_of("tok-secret").await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_postgresql_refuses_takes_none_of_its_batch_with_it() {
    let world = World::new().await;
    let mut load = Workload::good(999);
    load.seed(&world).await;
    let device = envelope::device(0, 5);
    load.messages.insert(500, poison(&device, 1_000_000));
    world.database.execute(NO_POISON).await;
    // All in the stream before the node starts: they come in one batch.
    ingest_kit::jetstream::create_streams(&world.jetstream).await;
    let sequences = world.publish(load.messages.clone()).await;
    let node = world.start_node().await;
    world.wait_settled(LANES[0], DEADLINE).await;

    assert_eq!(world.database.count("raw_events").await, 999);
    let events = world
        .database
        .query("SELECT reason, stream_seq, payload -> 'metrics' ? 'poison', raw IS NULL FROM quarantine_events", &[])
        .await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].get::<_, &str>(0), "ROW_REFUSED");
    assert_eq!(events[0].get::<_, i64>(1) as u64, sequences[500]);
    assert_eq!((events[0].get(2), events[0].get(3)), (true, true), "jsonb can hold it");
    load.wait_for_points(&world).await;
    // It never comes back.
    let info =
        ingest_kit::jetstream::consumer_info(&world.jetstream, LANES[0].0, LANES[0].1).await.expect("the consumer");
    assert_eq!(info.ack_floor.stream_sequence, 1_000);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_published_twice_is_two_messages_but_a_redelivered_one_is_one() {
    let world = World::new().await;
    seed::devices(&world.database, &[envelope::device(0, 1)]).await;
    let twice: Vec<Outgoing> = vec![envelope::telemetry(&envelope::device(0, 1), 7); 2];
    let node = world.start_node().await;
    world.publish(twice).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE seq = 7").await, 2);
    drain(node).await;

    // The broker forgets what was acknowledged: everything is delivered again.
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    let node = world.start_node().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 2);
    assert_eq!(node.metrics().await.count("ingest_postgres_duplicates_suppressed_total", &[]), 2);
    drain(node).await;
}
