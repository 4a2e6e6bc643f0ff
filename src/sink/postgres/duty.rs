//! What a writer is for.

use crate::metrics::{FigureSource, Metrics, TenantRejection};
use crate::runtime::readiness::Condition;

/// Two writers share the same machinery and never wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// What validation makes of messages: rows, rejections, shadow reports, command acknowledgements.
    Messages,
    /// Points that InfluxDB has refused for good. Below the points' sink, so that a drain goes one way.
    RejectedPoints,
}

impl Duty {
    /// The condition that is down while this is not stored.
    pub(super) const fn condition(self) -> Condition {
        match self {
            Duty::Messages => Condition::Postgres,
            Duty::RejectedPoints => Condition::PointQuarantine,
        }
    }

    /// Where the latest of its rejections are read.
    pub(super) fn recent_rejections(self, metrics: &Metrics) -> &FigureSource<Vec<TenantRejection>> {
        match self {
            Duty::Messages => &metrics.postgres.recent_rejections,
            Duty::RejectedPoints => &metrics.postgres.recent_rejected_points,
        }
    }

    /// The subject of its messages in `/ready`.
    pub(super) const fn subject(self) -> &'static str {
        match self {
            Duty::Messages => "postgres",
            Duty::RejectedPoints => "quarantine",
        }
    }
}
