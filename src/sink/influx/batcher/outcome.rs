//! What an answer means for the lines it is about: how each of them ends, or is tried again.

use std::time::Instant;

use slog::warn;

use super::Batcher;
use crate::delivery::{DeliveryGuard, Settlement};
use crate::metrics::{FlushResult, LineResult};
use crate::runtime::failpoint;
use crate::sink::influx::batch::{Batch, Entry};
use crate::sink::influx::breaker::Round;
use crate::sink::influx::classify::{Cause, RefusedLine, WriteOutcome};
use ingest_core::flow::disposition::Verdict;

/// A batch that failed so often while others were written is taken for the cause.
pub(super) const POISON_SUSPECT_AFTER: u32 = 5;

impl Batcher {
    /// A request has ended: what that means for its lines, and for those after them.
    pub(super) fn batch_answered(&mut self, batch: Batch, round: Round, sent: Instant, outcome: WriteOutcome) {
        failpoint::pass("batcher-answered");
        let flushes = &self.parts.metrics.flushes;
        match &outcome {
            WriteOutcome::Written => flushes.of(FlushResult::Ok).inc(),
            WriteOutcome::Refused { rest_written: true, .. } => flushes.of(FlushResult::Partial).inc(),
            _ => flushes.of(FlushResult::Failed).inc(),
        };
        match outcome {
            WriteOutcome::Failed { kind, message } => {
                self.parts.metrics.failed_lines.inc_by(batch.len() as u64);
                self.failed(round, sent, kind, message);
                self.try_again(batch);
                return;
            }
            WriteOutcome::Written => {
                self.health.written(batch.lines());
                self.end(batch, LineResult::Ok);
            }
            WriteOutcome::Refused { lines, rest_written } => self.sort_out(batch, lines, rest_written),
            WriteOutcome::Halve { message, cause } => self.narrow_down(batch, message, cause),
        }
        self.written += 1;
        self.answered(round);
    }

    /// The server did not say which line it refuses: unless its words are enough to make the lines fit, the halves are
    /// tried, down to the one.
    fn narrow_down(&mut self, batch: Batch, message: String, cause: Cause) {
        let can_fit = match &cause {
            Cause::Type(conflict) => {
                self.learn_of_batch(&batch, conflict);
                self.would_change(&batch)
            }
            Cause::NoColumn => {
                self.report_full_table(&batch, &message);
                self.try_fields(batch.lines(), Instant::now()) || self.would_change(&batch)
            }
            Cause::NoTable | Cause::Line => false,
        };
        if can_fit {
            return self.ready.push_front(batch);
        }
        match batch.halve() {
            (first, Some(second)) => {
                self.ready.push_front(second);
                self.ready.push_front(first);
            }
            (single, None) => self.sort_out(single, vec![RefusedLine { index: 0, message, cause }], true),
        }
    }

    /// A failed batch is the next one to be tried, and every few attempts the last one: whatever is wrong with it, the
    /// others get their turn. One that goes on failing while others are written is cut down to the line that it fails
    /// for, and that one is given up.
    fn try_again(&mut self, mut batch: Batch) {
        batch.failures += 1;
        if batch.failures == 1 {
            batch.written_before = self.written;
        }
        if batch.failures < POISON_SUSPECT_AFTER || batch.written_before == self.written {
            if batch.failures.is_multiple_of(POISON_SUSPECT_AFTER) {
                self.ready.push_back(batch);
            } else {
                self.ready.push_front(batch);
            }
            return;
        }
        // Its halves are on trial: the next failure counts, once others were written meanwhile.
        (batch.failures, batch.written_before) = (POISON_SUSPECT_AFTER - 1, self.written);
        match batch.halve() {
            (first, Some(second)) => self.ready.extend([first, second]),
            (single, None) => {
                warn!(self.parts.log, "influxdb fails again and again at one line; it stays owed");
                self.abandon(single);
            }
        }
    }

    /// All lines of a batch have met the same fate.
    pub(super) fn end(&self, batch: Batch, result: LineResult) {
        let (lines, bytes) = (batch.len(), batch.body().len());
        let mut settlement = Settlement::default();
        for Entry { guard, owed, .. } in batch.into_entries() {
            if result == LineResult::Ok {
                owed.confirm();
                if let Some(guard) = guard {
                    settlement.add(guard, Verdict::Done);
                }
            } else {
                give_up(guard, &mut settlement);
            }
        }
        settlement.send();
        self.parts.buffer.end(result, lines, bytes);
    }

    /// Gives up a batch for now: deliveries go back to the broker, best-effort lines stay owed.
    pub(super) fn abandon(&self, batch: Batch) {
        let result = if batch.is_required() { LineResult::Returned } else { LineResult::Deferred };
        self.end(batch, result);
    }
}

/// Hands a delivery back to the broker; without one, the line stays owed.
pub(super) fn give_up(guard: Option<DeliveryGuard>, settlement: &mut Settlement) -> LineResult {
    match guard {
        Some(guard) => {
            settlement.add(guard, Verdict::Retry);
            LineResult::Returned
        }
        None => LineResult::Deferred,
    }
}
