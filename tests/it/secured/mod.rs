//! Servers as they are run in production: every way to log in, TLS with certificates of an own authority, and secrets that
//! are rotated while the node runs.

mod cluster;
mod nats;
mod postgres;
mod recipes;
mod rotation;

use std::path::{Path, PathBuf};

use ingest_kit::{Finished, NodeBuilder};

use crate::world::DEADLINE;

/// A file of a test.
fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).expect("a file");
    file
}

/// Runs a command that must fail, with little patience for each server.
async fn fails(node: NodeBuilder, dir: &Path) -> Finished {
    let config = file(dir, "patience.toml", "[nats]\nstart_wait_secs = 3\n[postgres]\nstart_wait_secs = 3\n");
    let arguments = ["--config", config.to_str().expect("UTF-8"), "run"];
    node.arguments(&arguments).env("LOG_LEVEL", "error").run_to_end(DEADLINE).await
}

/// The last line on standard error, which is the sentence that ends the program.
fn last_line(finished: &Finished) -> String {
    finished.stderr.trim().lines().last().unwrap_or_default().to_owned()
}
