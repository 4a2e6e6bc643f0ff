//! What the node shows of itself at the admin listener: `/actors`, the console and its events.

mod actors;
mod browser;
mod console;
mod events;

use ingest_kit::{NodeBuilder, Response, free_port, get_with};
use serde_json::Value;

use crate::world::World;

/// A key as `openssl rand -hex 32` makes them.
const KEY: &str = "9f2c61b7d05e4a83c1f7e6920ab4d35871c0e9f4b26d8a5370fe41c98b2d6e07";

/// The admin listener of a node.
#[derive(Clone, Debug)]
struct Shown {
    address: String,
}

/// A node with an admin listener, to be started, and where that is.
fn shown(world: &World) -> (NodeBuilder, Shown) {
    shown_by(world.node())
}

/// The same of a node with settings of its own.
fn shown_by(node: NodeBuilder) -> (NodeBuilder, Shown) {
    let address = format!("127.0.0.1:{}", free_port());
    (node.env("ADMIN_BIND", &address).env("ADMIN_KEY", KEY), Shown { address })
}

impl Shown {
    /// What is answered to whoever has the key.
    async fn get(&self, path: &str) -> Response {
        self.get_with(path, &[&format!("X-Admin-Key: {KEY}")]).await
    }

    async fn get_with(&self, path: &str, headers: &[&str]) -> Response {
        get_with(&self.address, path, headers).await.expect("an answer")
    }

    async fn snapshot(&self) -> Value {
        self.get("/actors").await.json()
    }

    /// An actor of a snapshot; null where it has none of this name, as before the tree is built.
    async fn actor(&self, name: &str) -> Value {
        let snapshot = self.snapshot().await;
        let list = snapshot["actors"].as_array().expect("a list");
        list.iter().find(|actor| actor["name"] == name).cloned().unwrap_or_default()
    }
}
