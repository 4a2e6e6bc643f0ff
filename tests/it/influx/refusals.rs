//! InfluxDB refuses points for good: just those are in quarantine, each once, and all others are there.

use std::collections::BTreeSet;
use std::time::Duration;

use ingest_kit::jetstream::Outgoing;
use ingest_kit::wait_for;
use serde_json::json;

use super::expected::Expected;
use super::readings::{Readings, reading_of};
use super::scene::with_settings;
use crate::world::{DEADLINE, LANES, World, drain, start};

const GOOD: u64 = 900;

/// Good messages with some among them whose metric is called so.
struct Mixed {
    load: Readings,
    refused: Vec<Outgoing>,
}

impl Mixed {
    /// Every so many messages one more is refused.
    fn of(marker: &str, every: usize) -> Self {
        let mut load = Readings::of(2, GOOD);
        let mut refused = Vec::new();
        for (place, number) in (GOOD..).zip((0..load.messages.len()).step_by(every)) {
            let device = &load.devices[number % load.devices.len()];
            refused.push(reading_of(device, "telemetry", place, json!({"battery_pct": 1.5, marker: 2.5})));
        }
        for (place, message) in refused.iter().enumerate() {
            load.messages.insert(place * (every + 1), message.clone());
        }
        Self { load, refused }
    }

    fn good(&self) -> Expected {
        let refused: BTreeSet<_> = self.refused.iter().map(|message| &message.payload).collect();
        Expected::of(self.load.messages.iter().filter(|message| !refused.contains(&message.payload)))
    }

    /// Waits for the end: the refused points are in quarantine, each once and with these words of InfluxDB's.
    async fn wait_complete(&self, world: &World, words: &str) {
        world.wait_complete(self.load.messages.len(), &self.good()).await;
        let sql = "SELECT reason, detail, stream_seq FROM quarantine_events";
        let events = world.database.query(sql, &[]).await;
        let places: BTreeSet<i64> = events.iter().map(|event| event.get(2)).collect();
        assert_eq!((events.len(), places.len()), (self.refused.len(), self.refused.len()), "refused points");
        for event in &events {
            assert_eq!(event.get::<_, &str>(0), "POINT_REFUSED");
            let detail: &str = event.get(1);
            assert!(detail.contains(words), "{detail}");
        }
        // The stream holds them in the order in which they were published.
        let refused: BTreeSet<_> = self.refused.iter().map(|message| &message.payload).collect();
        let sent = self.load.messages.iter().zip(1_i64..);
        let expected: BTreeSet<i64> =
            sent.filter(|(message, _)| refused.contains(&message.payload)).map(|(_, place)| place).collect();
        assert_eq!(places, expected, "others were refused");
        let counted =
            "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute WHERE reason = 'POINT_REFUSED'";
        assert_eq!(world.database.query(counted, &[]).await[0].get::<_, i64>(0), self.refused.len() as i64, "counted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_points_among_good_ones_are_quarantined_alone_and_once_even_if_they_come_again() {
    const WORDS: &str = "this server does not like it";
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let mixed = Mixed::of("bad_metric", 7);
    mixed.load.seed(&world).await;
    world.influx.refuse_lines("bad_metric", WORDS);
    world.publish(mixed.load.messages.clone()).await;
    let (node, _dir) = with_settings(world.missed_node().env("BATCH_SIZE", 100), "outbox.replay_interval_ms = 500");
    // Killed when refusals are durable and the record of their points is not yet cleared (no flush is without any): they
    // are refused again.
    let mut first = node.clone().env("INGEST_FAILPOINTS", "outbox-confirmed=kill@1").start();
    assert_eq!(first.wait_exit(DEADLINE).await, None, "it was to be killed: {}", first.log());
    let refused_before = world.influx.counts().lines_refused;
    assert!(refused_before > 0 && world.database.count("quarantine_events").await > 0, "killed too early");

    let second = start(node).await;
    mixed.wait_complete(&world, WORDS).await;
    assert!(world.influx.counts().lines_refused > mixed.refused.len() as u64, "none was refused again");
    drain(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_an_answer_does_not_name_are_found_by_halving() {
    let world = World::new().await;
    let mixed = Mixed::of("unreadable", 300);
    mixed.load.seed(&world).await;
    world.influx.refuse_unnamed("unreadable");
    let node = start(world.node()).await;
    world.publish(mixed.load.messages.clone()).await;
    mixed.wait_complete(&world, "line protocol parsing error").await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_never_became_durable_leaves_its_point_owed() {
    // PostgreSQL is away when InfluxDB refuses: the refusal can't be durable, so the point stays owed.
    let mut world = World::with_own_postgres().await;
    let mixed = Mixed::of("bad_metric", 100);
    mixed.load.seed(&world).await;
    world.influx.refuse_lines("bad_metric", "not this one");
    world.influx.hang(None);
    let (node, _dir) = with_settings(world.missed_node(), "outbox.replay_interval_ms = 500");
    let mut first = start(node.clone()).await;
    world.publish(mixed.load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    world.postgres.as_mut().expect("its own").kill();
    world.influx.release();
    wait_for("the refusals", DEADLINE, async || world.influx.counts().lines_refused >= mixed.refused.len() as u64)
        .await;
    first.sigkill();
    world.postgres.as_mut().expect("its own").start_again();
    assert_eq!(world.owed_lines("%").await, mixed.load.messages.len() as u64);

    let second = start(node).await;
    mixed.wait_complete(&world, "not this one").await;
    drain(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_that_is_refused_during_a_drain_is_in_quarantine_before_the_node_ends() {
    refused_while_draining("best_effort").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_point_is_refused_during_a_drain_is_settled_before_the_node_ends() {
    refused_while_draining("required").await;
}

/// InfluxDB answers only once the node drains: with policy `best_effort` long after the Writer has been drained, with
/// `required` while the consumers still wait for their deliveries.
async fn refused_while_draining(policy: &str) {
    let world = World::new().await;
    let mixed = Mixed::of("bad_metric", 100);
    mixed.load.seed(&world).await;
    world.influx.refuse_lines("bad_metric", "not this one");
    world.influx.hang(None);
    let mut node = start(world.node().env("INFLUXDB_WRITE_POLICY", policy)).await;
    world.publish(mixed.load.messages.clone()).await;
    let all = mixed.load.messages.len() as u64;
    let buffered = async || node.metrics().await.count("ingest_influx_buffered_lines", &[]) == all;
    wait_for("all rows, and all points at their batchers", DEADLINE, async || {
        world.database.count("raw_events").await == all && buffered().await
    })
    .await;
    assert_eq!(world.database.count("quarantine_events").await, 0, "refused too early");

    node.sigterm();
    // An idle lane drains in no time; what is left for InfluxDB's answer is nearly all of the Router's bound on it.
    node.wait_logged("draining", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(node.is_running(), "it has not waited for InfluxDB: {}", node.log());
    world.influx.release();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{}", node.log());
    // Not settled later, by another node: now.
    mixed.wait_complete(&world, "not this one").await;
}
