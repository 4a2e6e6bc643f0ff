//! What a chunk adds to the metrics, in one go at its end.

use crate::delivery::Delivery;
use crate::metrics::{EventLags, Label, Metrics, MsgKind};
use ingest_core::influx::line_protocol::Skipped;
use ingest_core::message::rejection::Reason;
use ingest_core::validate::ValidationCounts;
use ingest_core::validate::event::Event;

/// A chunk's counts.
#[derive(Default)]
pub(super) struct ChunkCounts {
    accepted: [u64; MsgKind::ALL.len()],
    refused: [u64; Reason::ALL.len()],
    lags: EventLags,
    /// Events without a time of their own, up to the last accepted one.
    fallbacks_seen: u64,
    /// Look-ups in the cache.
    pub lookups: Lookups,
    /// What the checks themselves count.
    pub fields: ValidationCounts,
}

/// Look-ups in the cache.
#[derive(Default)]
pub(super) struct Lookups {
    hits: u64,
    misses: u64,
}

impl Lookups {
    /// One more.
    pub(super) fn count(&mut self, found: bool) {
        if found {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
    }
}

impl ChunkCounts {
    /// A valid event. One that has the broker's time for want of its own says nothing of its lag.
    pub(super) fn accepted(&mut self, received_us: i64, event: &Event) {
        self.accepted[MsgKind::from(&event.msg_type).index()] += 1;
        // A time that is the broker's was counted as such when this event was made.
        if self.fields.timestamp_fallbacks == self.fallbacks_seen {
            self.lags.observe(received_us, event.event_us);
        }
        self.fallbacks_seen = self.fields.timestamp_fallbacks;
    }

    /// A refused message. One whose row may be there already is counted by the writer, which finds out.
    pub(super) fn refused(&mut self, delivery: &Delivery, reason: Reason) {
        self.refused[reason.index()] += u64::from(!delivery.may_have_row());
    }

    /// Adds everything to the metrics.
    pub(super) fn add_to(self, metrics: &Metrics) {
        let validation = &metrics.validation;
        for (kind, count) in MsgKind::ALL.iter().zip(self.accepted) {
            validation.accepted.of(*kind).inc_by(count);
        }
        for (reason, count) in Reason::ALL.iter().zip(self.refused).filter(|(_, count)| *count > 0) {
            validation.rejections.of(*reason).inc_by(count);
        }
        validation.event_lag.add(&self.lags);
        validation.timestamp_fallbacks.inc_by(self.fields.timestamp_fallbacks);
        metrics.registry.cache_hits.inc_by(self.lookups.hits);
        metrics.registry.cache_misses.inc_by(self.lookups.misses);
        metrics.influx.points_skipped.inc_by(self.fields.skipped.points);
        for (reason, count) in Skipped::ALL.iter().zip(self.fields.skipped.fields).filter(|(_, count)| *count > 0) {
            metrics.influx.fields_skipped.of(*reason).inc_by(count);
        }
    }
}
