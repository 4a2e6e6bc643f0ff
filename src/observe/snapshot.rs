//! The snapshot: what the node shows of itself at one moment, as `/actors` and the console's events have it (docs/observe.md).
//!
//! What is not known is null, never 0. Keys stay as they are; new ones may come, so what another version does not say is read as its
//! default.

use serde::{Deserialize, Serialize};

/// Everything that is shown of a moment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    /// When it was taken, as RFC 3339 in UTC.
    pub as_of: String,
    /// The process.
    pub node: NodeState,
    /// Every actor of the tree, in the order of messages: what receives first comes first. Batchers are some of all.
    pub actors: Vec<ActorState>,
    /// Batchers that are not among `actors`.
    pub actors_left_out: u64,
    /// What goes from whom to whom.
    pub flows: Vec<Flow>,
    /// Each lane.
    pub lanes: Vec<LaneState>,
    /// What the batchers hold for InfluxDB; null where no points are written.
    pub influx: Option<InfluxState>,
    /// What the outbox owes; null while it has not been counted.
    pub outbox: Option<OutboxState>,
    /// The pool of PostgreSQL's connections; null before there is one.
    pub postgres_pool: Option<PoolState>,
    /// What holds and what does not, as at `/ready`.
    pub conditions: Vec<ConditionState>,
    /// Messages of `/ready` that do not affect it.
    pub notes: Vec<String>,
    /// Rejected messages.
    pub rejections: Rejections,
    /// Readings that did not come, and devices that are silent.
    pub missing_readings: MissingState,
    /// Counted since the start.
    pub totals: Totals,
    /// Who watches `/console/events`.
    pub viewers: Viewers,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct NodeState {
    /// The name of its host, which under Kubernetes is the pod's; null where it has none.
    pub host: Option<String>,
    /// The program's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// Since the process began.
    pub uptime_seconds: f64,
    /// The life of the actor tree; 0 before the first.
    pub generation: u64,
    /// `ready`, `not_ready` or `draining`.
    pub state: String,
    /// Why it is not ready.
    pub reasons: Vec<String>,
}

/// One actor.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ActorState {
    /// Its own name: the role, and what tells it from others of the role (`validator-0`).
    pub name: String,
    /// The role, as in `/stats` and the metrics.
    pub role: String,
    /// Whose points a batcher writes; null for the others.
    pub tenant: Option<String>,
    /// `starting`, `running`, `busy`, `stalled`, `draining` or `stopped`.
    pub state: String,
    /// The thread that it runs on; null before it ran.
    pub thread: Option<String>,
    /// The generation that it belongs to; null before the first.
    pub generation: Option<u64>,
    /// Messages that it has not handled yet.
    pub queue: u64,
    /// Messages that came to it since the start, over all generations.
    #[serde(rename = "in")]
    pub received: u64,
    /// Messages that it has handled.
    #[serde(rename = "out")]
    pub handled: u64,
    /// Messages that came within the last second.
    pub in_per_second: Option<f64>,
    /// Messages that it has handled within the last second.
    pub out_per_second: Option<f64>,
    /// How much of the last second it worked, from 0 to 1. What takes long is counted when it ends.
    pub busy: Option<f64>,
    /// How long it has had work and made no progress; null while it has no work.
    pub seconds_without_progress: Option<f64>,
    /// Restarts that it has caused.
    pub restarts: u64,
    /// How it ended last without being asked to: `panicked`, `stopped` or `stalled`; null where it never did.
    pub last_exit: Option<String>,
    /// When that was, as RFC 3339 in UTC.
    pub last_exit_at: Option<String>,
}

/// What goes from one role, or server, to another.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Flow {
    /// A role; or `nats`, `postgres`, `influx`.
    pub from: String,
    /// As `from`.
    pub to: String,
    /// What is counted: `messages`, `rows`, `lines` and the like.
    pub what: String,
    /// Since the start.
    pub total: u64,
    /// Within the last second.
    pub per_second: Option<f64>,
}

/// One lane: its ledger, which always balances, and the broker's figures, which are null while they are not known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LaneState {
    /// The stream.
    pub stream: String,
    /// The durable consumer.
    pub consumer: String,
    /// Deliveries received.
    pub received: u64,
    /// Settled with an ack.
    pub acked: u64,
    /// Settled with a nak.
    pub nacked: u64,
    /// Settled with a term.
    pub termed: u64,
    /// Not settled yet.
    pub in_flight: u64,
    /// Bytes of those.
    pub window_bytes: u64,
    /// Most unsettled deliveries that this replica admits.
    pub window: Option<u64>,
    /// Deliveries received within the last second.
    pub received_per_second: Option<f64>,
    /// Deliveries settled within the last second.
    pub settled_per_second: Option<f64>,
    /// Messages that were delivered to nobody yet.
    pub pending: Option<u64>,
    /// Messages delivered to any replica and not acknowledged.
    pub ack_pending: Option<u64>,
    /// Most of those.
    pub max_ack_pending: Option<i64>,
    /// Those that were delivered more than once.
    pub redelivered: Option<u64>,
    /// Every message up to this sequence number is acknowledged.
    pub ack_floor: Option<u64>,
    /// Age of the oldest unsettled message.
    pub lag_seconds: Option<f64>,
    /// Age of the broker's last answer.
    pub info_age_seconds: Option<f64>,
}

/// What the batchers hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct InfluxState {
    /// Tenants with a batcher.
    pub tenants: u64,
    /// Lines in all buffers and requests.
    pub held_lines: u64,
    /// The memory that they take.
    pub held_bytes: u64,
    /// Some of the tenants: those that fail first, then those that hold most.
    pub batchers: Vec<BatcherState>,
    /// Tenants that are not among them.
    pub left_out: u64,
}

/// One tenant's batcher.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct BatcherState {
    /// Whose lines.
    pub tenant: String,
    /// The circuit breaker: `closed`, `troubled` (requests fail) or `open` (none is sent).
    pub breaker: String,
    /// Lines whose fate is open.
    pub held_lines: u64,
    /// The memory that they take.
    pub held_bytes: u64,
    /// Requests under way.
    pub requests_in_flight: u64,
    /// Requests sent.
    pub requests: u64,
    /// Those that failed.
    pub requests_failed: u64,
    /// Lines that the server took.
    pub lines_ok: u64,
    /// The last thing that went wrong; null where nothing has.
    pub last_error: Option<String>,
}

/// What the outbox owes to tenants that are late, of all replicas.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OutboxState {
    /// Lines of all tenants that are late.
    pub lines: i64,
    /// Age of the oldest; null where none is late.
    pub oldest_seconds: Option<i64>,
    /// The tenants that are owed most; the last may stand for the remaining ones, as `%other`.
    pub tenants: Vec<OwedState>,
    /// Age of the count.
    pub counted_seconds_ago: f64,
}

/// What is owed to one tenant.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OwedState {
    /// The tenant, as the label of the metrics has it.
    pub tenant: String,
    /// Lines.
    pub lines: i64,
    /// Age of the oldest.
    pub oldest_seconds: i64,
    /// Lines that are written later per second; null while none is.
    pub lines_per_second: Option<f64>,
    /// Seconds until nothing is owed, at that rate.
    pub eta_seconds: Option<f64>,
}

/// The pool of connections.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct PoolState {
    /// Connections that work uses.
    pub in_use: u64,
    /// Connections that nobody uses.
    pub idle: u64,
    /// Work that waits for a connection.
    pub waiting: u64,
    /// Most connections.
    pub max: u64,
}

/// One component's condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ConditionState {
    /// The component, as in `ingest_component_up`.
    pub name: String,
    /// Whether it does its work.
    pub up: bool,
    /// Why not; several reasons are joined.
    pub reason: Option<String>,
    /// Whether the node is ready without it.
    pub required: bool,
}

/// Rejected messages.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Rejections {
    /// Every reason that came, the most frequent of the last five minutes first.
    pub reasons: Vec<ReasonState>,
    /// Reasons and tenants of the minute before and the one under way, the most frequent first; stored ones only.
    pub tenants: Vec<TenantRejections>,
}

/// Rejections for one reason.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ReasonState {
    /// The reason's code.
    pub reason: String,
    /// Since the start.
    pub total: u64,
    /// Within the last five minutes, or since the start where that is less.
    pub last_five_minutes: u64,
    /// Within the last second.
    pub per_second: Option<f64>,
}

/// Rejections of one tenant for one reason.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TenantRejections {
    /// The tenant; `unknown` for all that are not registered, `others` for those beyond the bound.
    pub tenant: String,
    /// The reason's code.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Readings that did not come.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct MissingState {
    /// Tenants that there is anything to tell of, those of which most is missing first; the last may stand for the remaining
    /// ones, as `%other`.
    pub tenants: Vec<TenantMissing>,
    /// Devices of which numbers went missing within the last hour, those with most first.
    pub devices: Vec<DeviceMissing>,
    /// Devices that fell silent last, the latest first; null where another replica looks for them, or nobody can.
    pub silent_devices: Option<Vec<DeviceSilent>>,
}

/// What is missing of one tenant's devices; counted since the start but for `silent`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TenantMissing {
    /// The tenant, as the label of the metrics has it.
    pub tenant: String,
    /// Numbers that did not come, without those that came late.
    pub missing: u64,
    /// Numbers that were missing, and came.
    pub late: u64,
    /// Readings with a number that had come before.
    pub repeats: u64,
    /// How often devices began to count again.
    pub resets: u64,
    /// Devices that are silent; null where this replica does not look for them.
    pub silent: Option<i64>,
    /// Alerts that this replica has published.
    pub alerts: u64,
}

/// A device of which numbers are missing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct DeviceMissing {
    /// Its tenant's id.
    pub tenant: String,
    /// Its id.
    pub device: String,
    /// Numbers that are missing, as `device_state` has them.
    pub missing: u64,
    /// Time since more of them went missing.
    pub found_seconds_ago: f64,
}

/// A device that is silent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct DeviceSilent {
    /// Its tenant's id.
    pub tenant: String,
    /// Its id.
    pub device: String,
    /// Since when it counts as silent, as RFC 3339 in UTC.
    pub silent_since: String,
    /// Its latest message; null where none is on record.
    pub last_seen_at: Option<String>,
}

/// Counted since the start, as in the log's `stats` line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// Deliveries received.
    pub received: u64,
    /// Deliveries settled.
    pub settled: u64,
    /// Deliveries that are not.
    pub in_flight: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Messages rejected.
    pub rejected: u64,
    /// Rows committed.
    pub rows: u64,
    /// Lines that InfluxDB has taken.
    pub influx_ok: u64,
    /// Lines that it has not taken, once for each attempt.
    pub influx_err: u64,
    /// Lines in buffers.
    pub influx_buffer: i64,
    /// Messages that were delivered to nobody yet; null while one lane's are not known.
    pub pending: Option<u64>,
    /// Restarts of all actors.
    pub restarts: u64,
}

/// Who watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Viewers {
    /// Now.
    pub watching: u64,
    /// At most.
    pub max: u64,
}
