//! The lanes' consumers: settlement, and the broker's settings and answers.
//!
//! - `recreated`: streams and consumers that are deleted and created again. `attempts`: finite `max_deliver`.
//! - `settings`: consumers as operators make them. `permissions`: operations that the server denies.
//! - `bytes`: large messages and long outages in bounded memory. `creation`: what the node creates.

mod attempts;
mod bytes;
mod creation;
pub(crate) mod permissions;
mod recreated;
mod settings;

use ingest_kit::{Node, NodeBuilder, wait_for_value};

use crate::world::{DEADLINE, LANES, World};

/// Settings from a file.
pub(crate) struct Configured {
    _file: tempfile::TempDir,
    path: String,
}

impl Configured {
    /// With this TOML.
    pub(crate) fn with(toml: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.toml");
        std::fs::write(&path, toml).expect("a file");
        Self { path: path.to_str().expect("UTF-8").to_owned(), _file: dir }
    }

    /// A node of this world with these settings.
    pub(crate) fn node(&self, world: &World) -> NodeBuilder {
        world.node().arguments(&["--config", &self.path, "run"])
    }
}

/// Deliveries of the telemetry lane that a node holds.
pub(crate) async fn in_flight(node: &Node) -> u64 {
    node.metrics().await.count("ingest_in_flight", &[("consumer", LANES[0].1)])
}

/// Settled deliveries of the telemetry lane, by disposition.
pub(crate) async fn settled(node: &Node, disposition: &str) -> u64 {
    let labels = [("consumer", LANES[0].1), ("disposition", disposition)];
    node.metrics().await.count("ingest_deliveries_settled_total", &labels)
}

/// The body of `/ready` as soon as it has this status and holds this text.
pub(crate) async fn wait_ready_shows(node: &Node, status: u16, text: &str) -> String {
    wait_for_value(&format!("/ready to answer {status} with {text:?}"), 3 * DEADLINE, async || {
        let answer = node.get("/ready").await?;
        (answer.status == status && answer.body.contains(text)).then_some(answer.body)
    })
    .await
}
