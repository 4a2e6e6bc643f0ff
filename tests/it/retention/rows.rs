//! Old partitions of `raw_events`.

use ingest_kit::wait_for;

use super::{is_there, often, old_day, stats, wait_dropped};
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_days_are_dropped_except_what_influxdb_is_owed_and_what_is_not_the_nodes() {
    let mut world = World::new().await;
    let mut days = Vec::new();
    for days_ago in 0..8 {
        days.push(old_day(&world.database, days_ago, 3).await);
    }
    world
        .database
        .execute(
            "CREATE TABLE month PARTITION OF raw_events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
             INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
                 SELECT 'tenant-0', 'TELEMETRY', min(received_at), max(received_at), 3 FROM raw_events
                 WHERE received_at < (((now() AT TIME ZONE 'UTC')::date - 4) AT TIME ZONE 'UTC')
                     AND received_at >= (((now() AT TIME ZONE 'UTC')::date - 5) AT TIME ZONE 'UTC');
             INSERT INTO influx_backfills (tenant_id, target, received_from, asked_to, received_to, position_at, updated_at)
                 SELECT 'tenant-0', 'one', at, 'infinity', at + interval '1 hour', at, now() FROM (
                     SELECT (((now() AT TIME ZONE 'UTC')::date - 6) AT TIME ZONE 'UTC') AS at) AS day;
             INSERT INTO influx_backfills (tenant_id, target, received_from, asked_to, received_to, position_at, updated_at)
                 SELECT 'tenant-0', 'two', at, 'infinity', at, at, now() - interval '8 days' FROM (
                     SELECT (((now() AT TIME ZONE 'UTC')::date - 7) AT TIME ZONE 'UTC') AS at) AS day",
        )
        .await;
    // Points can't be written yet.
    world.influx.stop().await;
    let (node, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3));
    let mut node = node.start();
    node.wait_ready(DEADLINE).await;

    wait_dropped(&world.database, &[&days[4], &days[7]]).await;
    wait_for("what is held back to be shown", DEADLINE, async || {
        node.metrics().await.count("ingest_retention_held_back_partitions", &[]) == 2
    })
    .await;
    for kept in [0, 1, 2, 3, 5, 6] {
        assert!(is_there(&world.database, &days[kept]).await, "{kept} days ago");
    }
    assert!(is_there(&world.database, "month").await);
    let found = stats(&node).await;
    assert_eq!(found["held_back_by_outbox"], serde_json::json!([days[6], days[5]]), "{found}");
    assert_eq!((&found["left_alone"], &found["problem"]), (&serde_json::json!(["month"]), &serde_json::Value::Null));

    // The points are written, the backfill ends.
    world.influx.start_again();
    world.database.execute("UPDATE influx_backfills SET finished_at = now()").await;
    wait_dropped(&world.database, &[&days[5], &days[6]]).await;
    assert_eq!(world.influx.total_points(), 3, "of the day that was owed");
    assert_eq!(world.database.count("influx_outbox").await, 0);
    wait_for("the figures to follow", DEADLINE, async || {
        node.metrics().await.count("ingest_retention_held_back_partitions", &[]) == 0
    })
    .await;

    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_retention_partitions_dropped_total", &[]), 4);
    assert_eq!(metrics.count("ingest_retention_errors_total", &[]), 0);
    let oldest = "SELECT extract(epoch FROM ((now() AT TIME ZONE 'UTC')::date - 3) AT TIME ZONE 'UTC')::bigint";
    let oldest: i64 = world.database.query(oldest, &[]).await[0].get(0);
    assert_eq!(metrics.count("ingest_retention_oldest_day_seconds", &[]), oldest as u64);
    assert_eq!(world.database.count("raw_events").await, 4 * 3, "of today and three days");
    assert_eq!(node.wait_logged("partition dropped", 4).await, 4);
    assert_eq!(node.wait_logged("an old partition of others is left alone", 1).await, 1, "said once");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_delays_the_drop_and_no_message() {
    let world = World::new().await;
    let load = Workload::good(200);
    load.seed(&world).await;
    let old = [old_day(&world.database, 5, 10).await, old_day(&world.database, 6, 10).await];
    let reader = world.database.connect().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM raw_events").await.expect("a long transaction");

    let (node, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3));
    let node = start(node).await;
    node.wait_logged("a long transaction or a vacuum uses it", 1).await;
    // It is tried again and again meanwhile.
    for part in load.messages.chunks(40) {
        world.publish(part.to_vec()).await;
        world.wait_settled(LANES[0], DEADLINE).await;
    }
    assert_eq!(world.database.count("raw_events").await, 200 + 2 * 10);
    assert!(is_there(&world.database, &old[0]).await && is_there(&world.database, &old[1]).await);
    assert!(stats(&node).await["problem"].is_string());
    assert!(!node.get("/ready").await.expect("an answer").body.contains("retention"), "it will pass");

    reader.batch_execute("COMMIT").await.expect("the end of it");
    wait_dropped(&world.database, &[&old[0], &old[1]]).await;
    wait_for("no problem to be left", DEADLINE, async || stats(&node).await["problem"].is_null()).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_others_need_or_have_half_detached_stays_and_the_rest_goes() {
    let world = World::new().await;
    let mut days = Vec::new();
    for days_ago in 4..8 {
        days.push(old_day(&world.database, days_ago, 1).await);
    }
    let [needed, half_detached, old, older] = &days[..] else { panic!("four days") };
    world.database.execute(&format!("CREATE VIEW somebodys AS SELECT * FROM {needed}")).await;
    // A reader keeps the detaching from its end, which is then cancelled.
    let reader = world.database.connect().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM raw_events").await.expect("a long transaction");
    let detach = format!("ALTER TABLE raw_events DETACH PARTITION {half_detached} CONCURRENTLY");
    let client = world.database.connect().await;
    client.batch_execute("SET statement_timeout = '1s'").await.expect("a setting");
    client.batch_execute(&detach).await.expect_err("the reader is in the way");
    reader.batch_execute("COMMIT").await.expect("the end of it");
    assert_eq!(world.database.count("pg_inherits WHERE inhdetachpending").await, 1);

    let (node, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3));
    let node = start(node).await;
    wait_dropped(&world.database, &[old, older]).await;
    node.wait_logged("FINALIZE", 1).await;
    wait_for("the message in /ready", DEADLINE, async || {
        let body = node.get("/ready").await.map(|answer| answer.body).unwrap_or_default();
        body.contains("retention") && body.contains(needed) && body.contains("somebodys")
    })
    .await;
    assert!(is_there(&world.database, needed).await && is_there(&world.database, half_detached).await);
    world.database.execute("DROP VIEW somebodys").await;
    wait_dropped(&world.database, &[needed]).await;
    wait_for("no message to be left", DEADLINE, async || {
        !node.get("/ready").await.map(|answer| answer.body).unwrap_or_default().contains("retention")
    })
    .await;
    drain(node).await;
}
