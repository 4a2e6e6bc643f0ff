//! The index for readers.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::wait_for;

use super::{is_there, often, old_day, stats};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Valid indexes for readers of a partition, and all of them.
async fn indexes(world: &World, table: &str) -> (u64, u64) {
    let of = |valid: &str| {
        format!(
            "pg_index WHERE indrelid = '{table}'::regclass AND {valid}
             AND pg_get_indexdef(indexrelid) LIKE '%(tenant_id, device_id, event_ts)'"
        )
    };
    (world.database.count(&of("indisvalid")).await, world.database.count(&of("true")).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_get_an_index_on_closed_days_only_and_without_retention_nothing_is_dropped() {
    let world = World::new().await;
    let today = old_day(&world.database, 0, 5).await;
    let (broken, whole, bare) = (
        old_day(&world.database, 2, 5).await,
        old_day(&world.database, 3, 5).await,
        old_day(&world.database, 400, 5).await,
    );
    world
        .database
        .execute(&format!(
            "CREATE INDEX left_by_a_kill ON {broken} (tenant_id, device_id, event_ts);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_by_a_kill'::regclass;
             CREATE INDEX of_somebody ON {whole} (tenant_id, device_id, event_ts);
             CREATE TABLE month PARTITION OF raw_events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
             INSERT INTO quarantine_events (ingested_at, topic, reason) VALUES (now() - interval '9 years', 't', 'BAD_ENVELOPE')"
        ))
        .await;
    let (builder, _file) = often(world.node().env("RAW_EVENTS_READER_INDEX", 1));
    let node = start(builder.clone()).await;
    for table in [&broken, &whole, &bare] {
        wait_for("an index", DEADLINE, async || indexes(&world, table).await == (1, 1)).await;
    }
    assert!(!is_there(&world.database, "left_by_a_kill").await && is_there(&world.database, "of_somebody").await);
    wait_for("a complete round", DEADLINE, async || stats(&node).await["last_success_secs"].is_u64()).await;
    assert_eq!((indexes(&world, &today).await, indexes(&world, "month").await), ((0, 0), (0, 0)));
    let made = node.metrics().await.count("ingest_retention_reader_indexes_total", &[]);
    assert!(made >= 2, "yesterday may be closed as well: {made}");
    assert_eq!(world.database.count("raw_events").await, 20);
    assert_eq!(world.database.count("quarantine_events").await, 1);

    // The readers' query finds it.
    let plan = format!(
        "EXPLAIN SELECT payload FROM {bare} WHERE tenant_id = 'tenant-0' AND device_id = 'dev-0' AND event_ts > now() - interval '1 day'"
    );
    let client = world.database.connect().await;
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await.expect("settings");
    let plan = client.query(&plan, &[]).await.expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan[0].contains("Index Scan"), "{plan:#?}");

    // An index waits for a long transaction. A drain does not wait for the index, and the server does not go on with it.
    let reader = world.database.connect().await;
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM raw_events")
        .await
        .expect("a reader");
    let late = old_day(&world.database, 4, 5).await;
    wait_for("an index that waits", DEADLINE, async || indexes(&world, &late).await == (0, 1)).await;
    let at_work = "pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = 'active'";
    assert_eq!(world.database.count(at_work).await, 1);
    world.publish([telemetry(&device(0, 1), 1)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(node).await;
    wait_for("the server to stop it", DEADLINE, async || world.database.count(at_work).await == 0).await;
    assert_eq!(indexes(&world, &late).await, (0, 1), "half made");

    reader.batch_execute("COMMIT").await.expect("its end");
    let node = start(builder).await;
    wait_for("the index to be made again", DEADLINE, async || indexes(&world, &late).await == (1, 1)).await;
    drain(node).await;
}
