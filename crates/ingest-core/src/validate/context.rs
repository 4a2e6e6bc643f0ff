//! Context of validation: settings, policy, metadata of the delivery, and the counts of a chunk.

use super::settings::Settings;
use crate::influx::point::{Layout, SkipCounts};
use crate::message::rejection::Rejection;

/// The operator's decisions about authentication and points; fixed while the process runs.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `REQUIRE_TOKEN`.
    pub require_token: bool,
    /// `CERT_AUTH_ENABLED`.
    pub cert_auth_enabled: bool,
    /// How points are laid out; `None` where no InfluxDB is configured.
    pub points: Option<Layout>,
}

/// Chunk metrics: counts over the messages of a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidationCounts {
    /// Events whose time is the broker's because the sender's was absent or unreadable.
    pub timestamp_fallbacks: u64,
    /// Fields left out of points, by reason.
    pub skipped: SkipCounts,
}

/// The input of the checks besides the message.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The run-time settings in force.
    pub settings: &'a Settings,
    /// The operator's decisions.
    pub policy: Policy,
    /// The NATS subject that it was published to; `None` where that may be any, as of a reprocessed message.
    pub subject: Option<&'a str>,
    /// The broker's time of the message, Unix microseconds.
    pub received_us: i64,
    /// A reprocessed message that needs no token.
    pub trusted: bool,
}

/// Result of validation: `Ok(None)` where `lookup` has no answer of the registry yet.
pub type Validated<T> = Result<Option<T>, Rejection>;
