//! Verdicts: what the broker is told, what is tried again within the node, and the lane's account of both.

use std::time::Duration;

use actix::prelude::*;
use async_nats::Subject;
use slog::warn;

use super::{Consumer, Stage};
use crate::delivery::Settled;
use crate::runtime::failpoint;
use ingest_core::flow::disposition::{Disposition, Verdict};

/// Longest delay of an attempt within the node while it drains.
const DRAIN_DELAY: Duration = Duration::from_secs(1);

impl Consumer {
    /// Settles deliveries, or keeps their verdicts back until it is certain whose they are.
    pub(super) fn settle(&mut self, settled: Vec<Settled>, ctx: &mut Context<Self>) {
        failpoint::pass("source-settle");
        if !self.may_send() {
            self.kept_back.extend(settled);
            return self.ask(ctx);
        }
        let (now_ms, limit) = (self.now_ms(), self.limit());
        let mut told = Vec::with_capacity(settled.len());
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
            // One that was handed back before has no entry: its credit comes back here.
            let Some(entry) = self.in_flight.settle(slot) else { continue };
            lost += is_lost;
            let retry_delay = || self.retry_delay(entry.attempt.saturating_add(entry.retries));
            let disposition = verdict.disposition(retry_delay);
            if disposition == Disposition::Ack {
                self.watch.acknowledged(entry.stream_seq, now_ms);
            }
            told.push((entry.reply, disposition));
        }
        if lost > 0 {
            warn!(self.parts.spawn.log, "deliveries lost on the way; they are tried again"; "deliveries" => lost);
        }
        if postponed > 0 {
            slog::debug!(self.parts.spawn.log, "deliveries are tried again within the node"; "deliveries" => postponed);
        }
        self.account_for(&told);
        self.tell(told);
        self.check_drained();
    }

    /// Settles what was kept back, where that may be done now.
    pub(super) fn settle_kept_back(&mut self, ctx: &mut Context<Self>) {
        if !self.kept_back.is_empty() && self.may_send() {
            let settled = std::mem::take(&mut self.kept_back);
            self.settle(settled, ctx);
            self.pull();
        }
    }

    /// Writes dispositions into the lane's account.
    fn account_for(&self, told: &[(Subject, Disposition)]) {
        let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
        for (_, disposition) in told {
            match disposition {
                Disposition::Ack => ledger.acked += 1,
                Disposition::Nak(_) => ledger.nacked += 1,
                Disposition::Term => ledger.termed += 1,
            }
        }
        ledger.in_flight -= told.len() as u64;
    }

    /// Sends dispositions. Callers have asked [`Consumer::may_send`].
    pub(super) fn tell(&self, settled: Vec<(Subject, Disposition)>) {
        if let Some(acks) = &self.acks {
            acks.settle(settled);
        }
    }

    /// A delivery held past the bound goes back, for another replica to try; never where deliveries are counted.
    pub(super) fn nack_overdue(&mut self, now_ms: u64) {
        if self.limit().is_finite() {
            return;
        }
        let overdue = self.in_flight.nack_overdue(now_ms, self.parts.config.hold_secs * 1_000);
        if overdue.is_empty() {
            return;
        }
        warn!(self.parts.spawn.log, "handed back deliveries held past the bound"; "deliveries" => overdue.len());
        let delayed = |entry: crate::source::consumer::actor::Entry| {
            (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)))
        };
        let settled: Vec<_> = overdue.into_iter().map(delayed).collect();
        self.account_for(&settled);
        self.tell(settled);
    }
}
