//! Settlement: turns verdicts into acknowledgements or retries within the node, and counts both in the lane's ledger.

use std::time::Duration;

use actix::prelude::*;
use async_nats::Subject;
use slog::warn;

use super::actor::{Consumer, Entry, Stage};
use crate::delivery::Settled;
use crate::runtime::failpoint;
use ingest_core::flow::disposition::{Disposition, Verdict};

/// Longest delay of an attempt within the node while it drains.
const DRAIN_DELAY: Duration = Duration::from_secs(1);

impl Consumer {
    /// Settles deliveries, or keeps their verdicts until the consumer at the broker has been recognised.
    pub(super) fn settle(&mut self, settled: Vec<Settled>, ctx: &mut Context<Self>) {
        failpoint::pass("source-settle");
        if !self.may_send() {
            self.unsent.extend(settled);
            return self.read_state(ctx);
        }
        let (now_ms, limit) = (self.now_ms(), self.limit());
        let mut dispositions = Vec::with_capacity(settled.len());
        let (mut lost, mut postponed) = (0, 0);
        for Settled { slot, verdict } in settled {
            let is_lost = u64::from(verdict == Verdict::Lost);
            if limit.retries_locally(verdict)
                && let Some(entry) = self.in_flight.get(slot)
            {
                lost += is_lost;
                let delay = self.retry_delay(entry.attempt.saturating_add(entry.retries));
                let delay = if self.stage == Stage::Draining { delay.min(DRAIN_DELAY) } else { delay };
                self.in_flight.postpone(slot, now_ms + delay.as_millis() as u64);
                postponed += 1;
                continue;
            }
            // One that was NAKed before has no entry: its credit returns here.
            let Some(entry) = self.in_flight.settle(slot) else { continue };
            lost += is_lost;
            let retry_delay = || self.retry_delay(entry.attempt.saturating_add(entry.retries));
            let disposition = verdict.disposition(retry_delay);
            if disposition == Disposition::Ack {
                self.watch.acknowledged(entry.stream_seq, now_ms);
            }
            dispositions.push((entry.reply, disposition));
        }
        if lost > 0 {
            warn!(self.parts.spawn.log, "deliveries lost on the way; they are tried again"; "deliveries" => lost);
        }
        if postponed > 0 {
            slog::debug!(self.parts.spawn.log, "deliveries are tried again within the node"; "deliveries" => postponed);
        }
        self.count(&dispositions);
        self.send(dispositions);
        self.check_drained();
    }

    /// Settles what was kept, where that is possible now.
    pub(super) fn settle_kept_back(&mut self, ctx: &mut Context<Self>) {
        if !self.unsent.is_empty() && self.may_send() {
            let settled = std::mem::take(&mut self.unsent);
            self.settle(settled, ctx);
            self.pull();
        }
    }

    /// Counts dispositions in the lane's ledger.
    fn count(&self, dispositions: &[(Subject, Disposition)]) {
        let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
        for (_, disposition) in dispositions {
            match disposition {
                Disposition::Ack => ledger.acked += 1,
                Disposition::Nak(_) => ledger.nacked += 1,
                Disposition::Term => ledger.termed += 1,
            }
        }
        ledger.in_flight -= dispositions.len() as u64;
    }

    /// Counts deliveries in the lane's ledger that the broker will redeliver.
    pub(super) fn count_nacked(&self, count: usize) {
        let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
        ledger.in_flight -= count as u64;
        ledger.nacked += count as u64;
    }

    /// Sends dispositions. Callers have checked [`Consumer::may_send`].
    pub(super) fn send(&self, dispositions: Vec<(Subject, Disposition)>) {
        if let Some(acks) = &self.acks {
            acks.settle(dispositions);
        }
    }

    /// NAKs deliveries held past `hold_secs`, for another replica to try; never where the consumer has a finite `max_deliver`.
    pub(super) fn nack_overdue(&mut self, now_ms: u64) {
        if self.limit().is_finite() {
            return;
        }
        let overdue = self.in_flight.nack_overdue(now_ms, self.parts.config.hold_secs * 1_000);
        if overdue.is_empty() {
            return;
        }
        warn!(self.parts.spawn.log, "nacked deliveries held past hold_secs"; "deliveries" => overdue.len());
        let delayed = |entry: Entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)));
        let dispositions: Vec<_> = overdue.into_iter().map(delayed).collect();
        self.count(&dispositions);
        self.send(dispositions);
    }
}
