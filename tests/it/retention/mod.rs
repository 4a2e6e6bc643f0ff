//! Retention: old partitions and records go, nothing else does, and nobody waits for it.

mod index;
mod outage;
mod quarantine;
mod replicas;
mod rows;

use ingest_kit::{Database, Node, NodeBuilder, wait_for};
use serde_json::Value;
use tempfile::TempDir;

use crate::world::DEADLINE;

/// First key of the advisory locks; the second is the step: partitions, quarantine, index.
const LOCKS: i32 = 0x696e_6772;

/// The same node with rounds a second apart, the first one at once. Its file lives as long as the directory.
pub(crate) fn often(node: NodeBuilder) -> (NodeBuilder, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[retention]\nfirst_round_secs = 0\ninterval_secs = 1\n").expect("a file");
    let node = node.arguments(&["--config", file.to_str().expect("UTF-8"), "run"]);
    (node, dir)
}

/// The partition of a day so long ago, with rows of a device, at least one; its name.
pub(crate) async fn old_day(database: &Database, days_ago: i32, rows: i32) -> String {
    let client = database.connect().await;
    let make = "SELECT ingest_make_partitions((now() AT TIME ZONE 'UTC')::date - $1::int)";
    client.query(make, &[&days_ago]).await.expect("a partition");
    const INSERT: &str = "
        INSERT INTO raw_events (received_at, event_ts, seq, stream_seq, stream, tenant_id, site_id, device_id, msg_type, topic, payload)
        SELECT at, at, number, number, 'TELEMETRY', 'tenant-0', 'site-0', 'dev-0', 'telemetry',
            'tenant/tenant-0/device/dev-0/telemetry', '{\"metrics\": {\"a\": 1.5}}'
        FROM generate_series(1, $2::int) AS number
        CROSS JOIN LATERAL (SELECT ((now() AT TIME ZONE 'UTC')::date - $1::int + time '12:00') AT TIME ZONE 'UTC'
            + number * interval '1 ms' AS at) AS moment
        RETURNING tableoid::regclass::text";
    let inserted = client.query(INSERT, &[&days_ago, &rows]).await.expect("rows");
    inserted[0].get(0)
}

/// What a node says of it in `/stats`.
async fn stats(node: &Node) -> Value {
    node.stats().await["actors"]["retention"].clone()
}

/// Whether there is a table of this name.
async fn is_there(database: &Database, table: &str) -> bool {
    database.count(&format!("pg_class WHERE relname = '{table}'")).await == 1
}

/// Waits until none of these tables is there.
async fn wait_dropped(database: &Database, tables: &[&String]) {
    wait_for("old partitions to be dropped", DEADLINE, async || {
        for table in tables {
            if is_there(database, table).await {
                return false;
            }
        }
        true
    })
    .await;
}
