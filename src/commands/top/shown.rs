//! What is read of `/actors`. What an older or newer node does not say is absent.

use serde::Deserialize;

/// The snapshot of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    /// The process.
    pub node: Node,
    /// Its actors.
    pub actors: Vec<Actor>,
    /// Actors that are not among them.
    pub actors_left_out: u64,
    /// Its lanes.
    pub lanes: Vec<Lane>,
    /// What the outbox owes, of all replicas.
    pub outbox: Option<Outbox>,
    /// What holds and what does not.
    pub conditions: Vec<Condition>,
    /// What differs, or is slow.
    pub notes: Vec<String>,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    /// Its host.
    pub host: Option<String>,
    /// `ready`, `not_ready`, `draining`; empty where it is not said.
    pub state: String,
    /// How often the tree was built.
    pub generation: u64,
    /// Since it began.
    pub uptime_seconds: f64,
    /// Why it is not ready.
    pub reasons: Vec<String>,
}

/// An actor.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Actor {
    /// Its name.
    pub name: String,
    /// Its state, a word.
    pub state: String,
    /// Messages that wait for it.
    pub queue: u64,
    /// Messages that came to it.
    #[serde(rename = "in")]
    pub received: u64,
    /// Messages that it has handled.
    #[serde(rename = "out")]
    pub handled: u64,
    /// Messages that came within the last second.
    pub in_per_second: Option<f64>,
    /// Messages that it has handled within the last second.
    pub out_per_second: Option<f64>,
    /// Restarts that it has caused.
    pub restarts: u64,
    /// How it ended last.
    pub last_exit: Option<String>,
}

/// A lane.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Lane {
    /// Its consumer.
    pub consumer: String,
    /// Deliveries that this node holds.
    pub in_flight: u64,
    /// Deliveries received within the last second.
    pub received_per_second: Option<f64>,
    /// Messages that were delivered to nobody yet.
    pub pending: Option<u64>,
    /// Messages that are delivered to any node and not settled.
    pub ack_pending: Option<u64>,
    /// Age of the oldest of all these, in seconds.
    pub lag_seconds: Option<f64>,
}

/// What the outbox owes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Outbox {
    /// Lines of the tenants that are late.
    pub lines: i64,
    /// Age of the oldest.
    pub oldest_seconds: Option<i64>,
}

/// A condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    /// Of what.
    pub name: String,
    /// Whether it holds.
    pub up: bool,
    /// Why not.
    pub reason: Option<String>,
}
