//! What PostgreSQL holds. Times are Unix microseconds.

/// A row of `raw_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The broker's time of its message.
    pub received_us: i64,
    /// When it was stored.
    pub stored_us: Option<i64>,
    /// Whether its message was accepted; else it mirrors a rejected one.
    pub accepted: bool,
    /// Its tenant's id; `None` where it mirrors what names none.
    pub tenant: Option<String>,
    /// Its device's id.
    pub device: Option<String>,
    /// Its message type.
    pub msg_type: String,
    /// The sender's number of its message.
    pub seq: Option<i64>,
}

impl Row {
    /// Whether a message of its type becomes a point.
    pub(in crate::explain) fn makes_a_point(&self) -> bool {
        matches!(self.msg_type.as_str(), "telemetry" | "heartbeat")
    }
}

/// A quarantine event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: i64,
    /// When it was stored.
    pub rejected_us: Option<i64>,
    /// The broker's time of its message; `None` where an earlier system stored it.
    pub received_us: Option<i64>,
    /// The reason code.
    pub reason: String,
    /// What an operator reads beside it.
    pub detail: Option<String>,
    /// When it was last sent through again.
    pub replayed_us: Option<i64>,
    /// How often it was sent through again.
    pub replays: u32,
    /// Whether, and how, it can be sent through again.
    pub reprocessing: Reprocessing,
}

/// Whether a quarantine event can be sent through again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reprocessing {
    /// It can.
    Possible,
    /// It can, where an operator vouches for its sender (`--trust`); why that is needed.
    NeedsTrust(&'static str),
    /// It can't; why.
    Impossible(&'static str),
}

/// Rejections of a tenant for a reason in one minute of the broker's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The tenant that they are counted for; `unknown` for all without a registered device.
    pub tenant: String,
    /// The reason code.
    pub reason: String,
    /// How many were counted.
    pub counted: u64,
    /// How many of them are quarantine events.
    pub stored: u64,
}

/// An outbox entry: points that InfluxDB has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: i64,
    /// How many points.
    pub lines: i64,
    /// Since when.
    pub created_us: i64,
    /// Redeliveries that failed.
    pub attempts: u32,
    /// When the next one may begin.
    pub retry_us: i64,
    /// Whether a node works on it now.
    pub is_owned: bool,
}

/// A backfill that has written a point again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// Its id.
    pub id: i64,
    /// When it came by, at the latest.
    pub at_us: i64,
    /// When it ended; `None` where it did not yet.
    pub finished_us: Option<i64>,
}

/// The reported state of a device, beside a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The version that the report claims.
    pub claimed: i64,
    /// The version in force; `None` where the device has no state.
    pub version: Option<i64>,
    /// The broker's time of the report in force.
    pub reported_us: Option<i64>,
}

/// A command, beside an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its id.
    pub id: String,
    /// Its status; `None` where the device has no such command.
    pub status: Option<String>,
    /// The broker's time of the acknowledgement that counted.
    pub acked_us: Option<i64>,
}
