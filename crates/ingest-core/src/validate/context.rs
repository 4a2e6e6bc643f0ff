//! What the checks know besides the message, and what they count.

use super::settings::Settings;
use crate::influx::point::{Layout, SkipCounts};
use crate::message::rejection::Rejection;

/// What the operator decided about authentication and targets; fixed for a process's life.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `REQUIRE_TOKEN`.
    pub require_token: bool,
    /// `CERT_AUTH_ENABLED`.
    pub cert_auth_enabled: bool,
    /// How points are laid out; `None` where no target wants any.
    pub points: Option<Layout>,
}

/// What a chunk's messages add up to, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Events whose time is the broker's because the sender's was absent or unreadable.
    pub timestamp_fallbacks: u64,
    /// Fields left out of points, by reason.
    pub skipped: SkipCounts,
}

/// What the checks know besides the message.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The run-time settings in force.
    pub settings: &'a Settings,
    /// The operator's decisions.
    pub policy: Policy,
    /// The NATS subject that it was published to; `None` where that may be any, as of a proven replay.
    pub subject: Option<&'a str>,
    /// The broker's time of the message, Unix microseconds.
    pub received_us: i64,
    /// A replay that needs no token.
    pub trusted: bool,
}

/// A verdict that needs the registry's answer first: `Ok(None)` where `lookup` knows nothing yet.
pub type Judged<T> = Result<Option<T>, Rejection>;
