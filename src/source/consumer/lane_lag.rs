//! What is known of the lane's lag.

use std::time::Instant;

use ingest_core::flow::lag::ConsumerFigures;
use ingest_core::flow::oldest::OldestUnsettled;

/// The lane's lag, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct LaneLag {
    /// The oldest unsettled message.
    pub oldest: OldestUnsettled,
    /// The figures that wait for the time of their oldest message.
    pub waiting: Option<Reading>,
    /// Counts the consumers: an answer about an earlier one is ignored.
    pub round: u64,
}

/// The broker's figures, and when it was asked for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub figures: ConsumerFigures,
    pub asked: Instant,
}

impl LaneLag {
    /// Forgets everything (another consumer, or none).
    pub(super) fn reset(&mut self) {
        *self = Self { round: self.round + 1, ..Self::default() };
    }

    /// The lane was bound again: a new connection may have other permissions.
    pub(super) fn bound(&mut self) {
        self.oldest.resume();
    }
}
