//! Rejections in the log: each at DEBUG, and a minute's sum at INFO, so that a flood is as long in the log as a single one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slog::{Drain, Logger, debug, info};

use crate::metrics::{FigureSource, TenantRejection};
use crate::sink::postgres::quarantine::{Known, PendingQuarantine};
use ingest_core::validate::rejection_summary::{RejectionSummary, SummaryLine};

/// What is summed in one line for each reason and tenant.
const PERIOD: Duration = Duration::from_secs(60);

/// The rejections since the last summary.
#[derive(Debug)]
pub(super) struct RejectionLog {
    log: Logger,
    /// Shared with whoever shows them.
    recent: Arc<Mutex<Recent>>,
    /// When the first of them came.
    since: Option<Instant>,
}

/// The period under way, and the one before it for as long as a period takes.
#[derive(Debug, Default)]
struct Recent {
    current: RejectionSummary,
    before: Option<(Instant, Vec<SummaryLine>)>,
}

impl Recent {
    fn read(&self, now: Instant) -> Vec<TenantRejection> {
        let current = self.current.counts().map(|(reason, tenant, count)| (reason, tenant.to_owned(), count));
        let before = self.before.iter().filter(|(ended, _)| now.saturating_duration_since(*ended) < PERIOD);
        let before = before.flat_map(|(_, lines)| lines).map(|line| (line.reason, line.tenant.clone(), line.count));
        let mut pairs = BTreeMap::new();
        current.chain(before).for_each(|(reason, tenant, count)| *pairs.entry((reason, tenant)).or_default() += count);
        pairs.into_iter().map(|((reason, tenant), count)| TenantRejection { reason, tenant, count }).collect()
    }
}

impl RejectionLog {
    /// Nothing was rejected yet; what will be is read from there.
    pub(super) fn new(log: Logger, reading: &FigureSource<Vec<TenantRejection>>) -> Self {
        let recent = Arc::<Mutex<Recent>>::default();
        let shown = recent.clone();
        reading.read_from(move || shown.lock().read(Instant::now()));
        Self { log, recent, since: None }
    }

    /// Rejections that are durable now. What is known to be no rejection is left out.
    pub(super) fn add(&mut self, rejections: &[PendingQuarantine], now: Instant) {
        let is_listed = self.log.is_debug_enabled();
        let mut recent = self.recent.lock();
        for one in rejections.iter().filter(|one| one.known != Known::Row) {
            self.since.get_or_insert(now);
            recent.current.add(&one.refusal);
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
        let mut recent = self.recent.lock();
        let lines = recent.current.take();
        for line in &lines {
            let (reason, tenant, count) = (line.reason.as_str(), &line.tenant, line.count);
            match line.top_senders.as_str() {
                "" => info!(self.log, "messages rejected"; "reason" => reason, "tenant" => tenant, "count" => count),
                top => info!(self.log, "messages rejected"; "reason" => reason, "tenant" => tenant, "count" => count,
                    "top_senders" => top),
            }
        }
        if !lines.is_empty() {
            recent.before = Some((Instant::now(), lines));
        }
    }
}

impl Drop for RejectionLog {
    fn drop(&mut self) {
        self.end_period();
    }
}
