//! How a test of InfluxDB's failures is set and how it ends.

use std::time::Duration;

use ingest_kit::{Node, NodeBuilder, wait_for};
use tempfile::TempDir;

use super::expected::Expected;
use crate::world::{DEADLINE, LANES, World};

/// A node that was not seen for so long is taken for dead.
pub(super) const TAKEOVER_SECS: u64 = 3;

/// Rests double up to the better part of a minute; whatever InfluxDB does, points come so soon after it is well again.
pub(super) const ALL_WITHIN: Duration = Duration::from_secs(90);

impl World {
    /// A node that others miss soon.
    pub(crate) fn missed_node(&self) -> NodeBuilder {
        self.node().env("INFLUX_TAKEOVER_SECONDS", TAKEOVER_SECS)
    }

    /// Lines on record for a tenant, and for all of them (`%`).
    pub(crate) async fn owed_lines(&self, tenant: &str) -> u64 {
        let sql = "SELECT coalesce(sum(lines), 0)::bigint FROM influx_outbox WHERE tenant_id LIKE $1";
        self.database.query(sql, &[&tenant]).await[0].get::<_, i64>(0) as u64
    }

    /// Waits until nothing is on record any more.
    pub(crate) async fn wait_nothing_owed(&self) {
        wait_for("the record to be empty", ALL_WITHIN, async || self.owed_lines("%").await == 0).await;
    }

    /// Waits for the end and checks it: every message is settled and has one row, the points are these exactly, and
    /// nothing is owed any more.
    pub(crate) async fn wait_complete(&self, messages: usize, expected: &Expected) {
        self.wait_settled(LANES[0], DEADLINE).await;
        assert_eq!(self.database.count("raw_events").await, messages as u64, "rows");
        expected.wait_in(&self.influx, ALL_WITHIN).await;
        self.wait_nothing_owed().await;
        // What was written twice on the way has changed nothing.
        expected.assert_in(&self.influx);
        let counts = self.influx.counts();
        assert_eq!((counts.poison_lines, counts.untimed_lines), (0, 0), "{counts:?}");
    }
}

/// The same node with these lines in the `[influx]` table of its file, which lives as long as the directory.
pub(super) fn with_settings(node: NodeBuilder, lines: &str) -> (NodeBuilder, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, format!("[influx]\n{lines}\n")).expect("a file");
    let node = node.arguments(&["--config", file.to_str().expect("UTF-8"), "run"]);
    (node, dir)
}

/// How often a node's log says this.
pub(super) fn said(node: &Node, words: &str) -> usize {
    node.log().lines().filter(|line| line.contains(words)).count()
}
