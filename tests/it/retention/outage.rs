//! PostgreSQL goes away in the middle of a round.

use std::time::Instant;

use ingest_kit::{Node, wait_for};

use super::{is_there, often, old_day, stats, wait_dropped};
use crate::world::{DEADLINE, World, drain};

/// The metric for the age of the last complete round.
async fn success_age(node: &Node) -> f64 {
    node.metrics().await.get("ingest_retention_last_success_age_seconds", &[]).expect("a round was complete")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_an_outage_of_postgresql_cuts_off_goes_on_after_it() {
    let mut world = World::with_own_postgres().await;
    let owed = old_day(&world.database, 6, 3).await;
    world
        .database
        .execute(
            "INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
             SELECT 'tenant-0', 'TELEMETRY', min(received_at), max(received_at), 3 FROM raw_events",
        )
        .await;
    world.influx.stop().await;
    let (builder, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3));
    // The thread of the rounds stands still for two seconds after the second drop: the outage comes in the middle.
    let mut node = builder.env("INGEST_FAILPOINTS", "retention-drop=pause@2").start();
    node.wait_ready(DEADLINE).await;
    wait_for("a complete round", DEADLINE, async || stats(&node).await["last_success_secs"].is_u64()).await;

    let mut days = vec![old_day(&world.database, 4, 1).await];
    // However late this test looks: the last of them can't be dropped before the outage, which ends its reader, too.
    let reader = world.database.connect().await;
    reader.batch_execute(&format!("BEGIN; SELECT count(*) FROM {}", days[0])).await.expect("a long transaction");
    for days_ago in [5, 7, 8, 9] {
        days.push(old_day(&world.database, days_ago, 1).await);
    }
    wait_for("two of five to be dropped", DEADLINE, async || {
        let mut left = 0;
        for day in &days {
            left += u32::from(is_there(&world.database, day).await);
        }
        left <= 3
    })
    .await;
    world.postgres.as_mut().unwrap().kill();
    let away = Instant::now();
    let failed = async || node.metrics().await.count("ingest_retention_errors_total", &[]) > 0;
    wait_for("a round that fails", DEADLINE, failed).await;
    let since = away.elapsed().as_secs_f64();
    let age = success_age(&node).await;
    assert!(age >= since, "the last complete round was before the outage, {since} s ago, not {age} s");
    let dropped = node.metrics().await.count("ingest_retention_partitions_dropped_total", &[]);
    assert!((1..5).contains(&dropped), "{dropped} dropped");

    world.postgres.as_mut().unwrap().start_again();
    let back = Instant::now();
    wait_dropped(&world.database, &days.iter().collect::<Vec<_>>()).await;
    wait_for("a complete round", DEADLINE, async || stats(&node).await["problem"].is_null()).await;
    let age = success_age(&node).await;
    assert!(age <= back.elapsed().as_secs_f64(), "a round was complete after the outage, not {age} s ago");
    // Each once, and not what InfluxDB is owed.
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_retention_partitions_dropped_total", &[]), 5);
    assert_eq!(metrics.count("ingest_retention_held_back_partitions", &[]), 1);
    assert_eq!(node.wait_logged("partition dropped", 5).await, 5);
    assert_eq!(world.database.count(&owed).await, 3);

    world.influx.start_again();
    wait_dropped(&world.database, &[&owed]).await;
    assert_eq!(world.influx.total_points(), 3);
    drain(node).await;
}
