//! Rejections in the log: each at DEBUG, and a minute's sum at INFO, so that a flood is as long in the log as a single one.

use std::time::{Duration, Instant};

use slog::{Drain, Logger, debug, info};

use crate::sink::postgres::quarantine::{Known, PendingQuarantine};
use ingest_core::validate::rejection_summary::RejectionSummary;

/// What is summed in one line for each reason and tenant.
const PERIOD: Duration = Duration::from_secs(60);

/// The rejections since the last summary.
#[derive(Debug)]
pub(super) struct RejectionLog {
    log: Logger,
    summary: RejectionSummary,
    /// When the first of them came.
    since: Option<Instant>,
}

impl RejectionLog {
    /// Nothing was rejected yet.
    pub(super) fn new(log: Logger) -> Self {
        Self { log, summary: RejectionSummary::default(), since: None }
    }

    /// Rejections that are durable now. What is known to be no rejection is left out.
    pub(super) fn add(&mut self, rejections: &[PendingQuarantine], now: Instant) {
        let is_listed = self.log.is_debug_enabled();
        for one in rejections.iter().filter(|one| one.known != Known::Row) {
            self.since.get_or_insert(now);
            self.summary.add(&one.refusal);
            if is_listed {
                self.list(one);
            }
        }
    }

    fn list(&self, rejected: &PendingQuarantine) {
        let (origin, refusal) = (&rejected.origin, &rejected.refusal);
        debug!(self.log, "message rejected"; "stream" => &*origin.stream, "stream_seq" => origin.stream_seq,
            "tenant" => refusal.tenant_id.as_deref().unwrap_or("unknown"), "device" => refusal.device_id.as_deref(),
            "reason" => refusal.rejection.reason.as_str());
    }

    /// Logs the sum when its minute is over.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.since.is_some_and(|since| now.saturating_duration_since(since) >= PERIOD) {
            self.end_period();
        }
    }

    /// Logs the sum of the rejections so far.
    pub(super) fn end_period(&mut self) {
        self.since = None;
        for line in self.summary.take() {
            let (reason, tenant, count) = (line.reason.as_str(), &line.tenant, line.count);
            match line.top_senders.as_str() {
                "" => info!(self.log, "messages rejected"; "reason" => reason, "tenant" => tenant, "count" => count),
                top => info!(self.log, "messages rejected"; "reason" => reason, "tenant" => tenant, "count" => count,
                    "top_senders" => top),
            }
        }
    }
}

impl Drop for RejectionLog {
    fn drop(&mut self) {
        self.end_period();
    }
}
