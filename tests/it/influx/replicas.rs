//! Several nodes share one record.

use ingest_kit::wait_for;

use super::expected::Expected;
use super::readings::{Readings, devices, reading};
use super::scene::{TAKEOVER_SECS, with_settings};
use crate::traffic::Traffic;
use crate::workload::{acked, database};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Lines that all databases have taken, repeated ones too.
fn lines_taken(world: &World, tenants: usize) -> usize {
    (0..tenants).map(|number| world.influx.taken(&database(&format!("tenant-{number}"))).len()).sum()
}

/// How many lines a replay reads at most that takes each row of the record once: the ranges of flushes that were under way
/// at once overlap, and what lies in several of them is read for each.
async fn lines_in_record(world: &World) -> usize {
    let sql = "
        SELECT count(*) FROM influx_outbox o JOIN raw_events r ON r.tenant_id = o.tenant_id AND r.stream = o.stream
            AND r.received_at BETWEEN o.received_from AND o.received_to";
    world.database.query(sql, &[]).await[0].get::<_, i64>(0) as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_owed_is_written_by_the_other_soon_after_influxdb_is_back() {
    let mut world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let devices = devices(3);
    ingest_kit::seed::devices(&world.database, &devices).await;
    let (node, _dir) =
        with_settings(world.missed_node(), "outbox.replay_interval_ms = 500\nretry.retry_delay_max_ms = 1000");
    let (mut doomed, survivor) = (start(node.clone()).await, start(node).await);
    let senders = devices.clone();
    let traffic = Traffic::rounds(&world, 4, move |number| reading(&senders, number));
    wait_for("both to have work", DEADLINE, async || acked(&doomed).await > 50 && acked(&survivor).await > 50).await;
    world.influx.stop().await;
    let acked_before = acked(&doomed).await;
    wait_for("both to owe something", DEADLINE, async || acked(&doomed).await > acked_before + 200).await;
    doomed.sigkill();
    let messages: Vec<_> = (0..traffic.stop().await).map(|number| reading(&devices, number)).collect();
    world.wait_settled(LANES[0], DEADLINE).await;
    let owed = world.owed_lines("%").await;
    assert!(owed > 200, "only {owed} lines are owed");
    let most = messages.len() + lines_in_record(&world).await;

    // Missed after a few seconds: then nothing is the dead one's any more.
    let of_the_dead = format!(
        "influx_outbox WHERE owner IS NOT NULL AND owner NOT IN
         (SELECT node_id FROM ingest_nodes WHERE seen_at > now() - interval '{TAKEOVER_SECS} seconds')"
    );
    wait_for("its share to be taken over", DEADLINE, async || world.database.count(&of_the_dead).await == 0).await;
    world.influx.start_again();
    world.wait_complete(messages.len(), &Expected::of(&messages)).await;
    // Only what was on record may have been written again, and not over and over.
    let taken = lines_taken(&world, 3);
    assert!(taken <= most, "{taken} lines for {} points, {most} at most", messages.len());
    drain(survivor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_what_a_dead_one_owed_and_do_not_do_it_twice() {
    let mut world = World::new().await;
    let load = Readings::of(4, 6_000);
    load.seed(&world).await;
    let node = world.missed_node().env("BATCH_SIZE", 100).env("INFLUX_BATCH_SIZE", 200);
    let (node, _dir) = with_settings(node, "outbox.replay_interval_ms = 200\noutbox.replay_lines_per_sec = 2000");
    world.influx.stop().await;
    let mut dead = start(node.clone()).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    dead.sigkill();
    assert_eq!(world.owed_lines("%").await, 6_000);
    let most = lines_in_record(&world).await;

    let nodes = [start(node.clone()).await, start(node).await];
    world.influx.start_again();
    world.wait_complete(load.messages.len(), &load.expected()).await;
    let mut replayed = Vec::new();
    for node in &nodes {
        replayed.push(node.metrics().await.count("ingest_influx_replayed_lines_total", &[]));
    }
    assert!(replayed.iter().all(|lines| *lines > 0), "one replica did it all: {replayed:?}");
    let taken = lines_taken(&world, 4);
    assert!(taken <= most, "{taken} lines for {} points, {most} at most", load.messages.len());
    for node in nodes {
        drain(node).await;
    }
}
