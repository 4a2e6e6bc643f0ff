//! Old records of the quarantine, and old counters.

use ingest_kit::wait_for;

use super::{often, stats};
use crate::world::{DEADLINE, World, drain, start};

const FILL: &str = "
    INSERT INTO quarantine_events (ingested_at, topic, tenant_id, reason, received_at, stream, stream_seq)
        SELECT now() - interval '31 days', 't', 'acme', 'BAD_ENVELOPE', now() - interval '31 days', 'TELEMETRY', n
        FROM generate_series(1, 2500) AS n;
    INSERT INTO quarantine_events (ingested_at, topic, tenant_id, reason, received_at, stream, stream_seq)
        SELECT now() - interval '29 days', 't', 'acme', 'BAD_ENVELOPE', now() - interval '40 days', 'TELEMETRY', n
        FROM generate_series(2501, 2600) AS n;
    INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt)
        SELECT date_trunc('minute', now()) - interval '29 days' - n * interval '1 minute', 'acme', 'BAD_ENVELOPE', 1
        FROM generate_series(1, 2880) AS n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rejections_go_in_batches_and_younger_ones_stay() {
    let world = World::new().await;
    world.database.execute(FILL).await;
    let (builder, _file) = often(world.node().env("QUARANTINE_RETENTION_DAYS", 30));
    let mut node = builder.clone().env("INGEST_FAILPOINTS", "retention-delete=kill@2").start();
    assert_eq!(node.wait_exit(DEADLINE).await, None, "killed");
    assert_eq!(world.database.count("quarantine_events").await, 600, "two transactions of a thousand");

    let node = start(builder).await;
    wait_for("what is old to be deleted", DEADLINE, async || {
        let metrics = node.metrics().await;
        let deleted = |table| metrics.count("ingest_retention_rows_deleted_total", &[("table", table)]);
        deleted("quarantine_events") == 500 && deleted("quarantine_counters_minute") >= 1440
    })
    .await;
    assert_eq!(world.database.count("quarantine_events").await, 100);
    assert_eq!(world.database.count("quarantine_events WHERE ingested_at < now() - interval '30 days'").await, 0);
    let counters = world.database.count("quarantine_counters_minute").await;
    assert!((1435..=1440).contains(&counters), "those of the last day of the thirty: {counters}");
    node.wait_logged("old rejections deleted", 1).await;
    wait_for("a complete round", DEADLINE, async || stats(&node).await["last_success_secs"].is_u64()).await;
    drain(node).await;
}
