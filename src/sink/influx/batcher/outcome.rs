//! What an answer means for the lines it is about: how each of them ends, or is tried again.

use std::time::Instant;

use slog::{debug, error, info, warn};

use super::Batcher;
use crate::core::disposition::Verdict;
use crate::core::field_types::Conflict;
use crate::delivery::{Settlement, Ticket};
use crate::failpoint;
use crate::metrics::{FlushResult, LineResult, ServerLimit};
use crate::sink::influx::batch::{Batch, Entry};
use crate::sink::influx::breaker::{Round, Severity};
use crate::sink::influx::classify::{Cause, Outcome, RefusedLine, Trouble};

/// A batch that failed so often while others were written is taken for the cause.
const STUBBORN: u32 = 5;

impl Batcher {
    /// A request has ended: what that means for its lines, and for those after them.
    pub(super) fn landed(&mut self, batch: Batch, round: Round, outcome: Outcome) {
        failpoint::pass("batcher-answered");
        let flushes = &self.parts.metrics.flushes;
        match &outcome {
            Outcome::Written => flushes.of(FlushResult::Ok).inc(),
            Outcome::Refused { rest_written: true, .. } => flushes.of(FlushResult::Partial).inc(),
            _ => flushes.of(FlushResult::Failed).inc(),
        };
        match outcome {
            Outcome::Failed { trouble, message } => {
                self.failed(round, trouble, message);
                self.try_again(batch);
                return;
            }
            Outcome::Written => self.end(batch, LineResult::Ok),
            Outcome::Refused { lines, rest_written } => self.sort_out(batch, lines, rest_written),
            Outcome::Halve { message, cause } => self.narrow_down(batch, message, cause),
        }
        self.written += 1;
        self.parts.account.request_ended(None);
        if self.parts.target.complaint().settle() {
            info!(self.parts.log, "influxdb accepts the token again");
        }
        if self.breaker.succeeded(round) {
            info!(self.parts.log, "influxdb takes writes again"; "held_lines" => self.parts.account.held_lines());
            self.told.clear();
        }
    }

    fn failed(&mut self, round: Round, trouble: Trouble, message: String) {
        self.parts.account.request_ended(Some(&message));
        let (severity, wish) = match trouble {
            Trouble::Passing(wish) => (Severity::Passing, wish),
            Trouble::Token | Trouble::Room | Trouble::Request => (Severity::Lasting, None),
        };
        if trouble == Trouble::Room {
            self.parts.metrics.limits.of(ServerLimit::Databases).inc();
        }
        let opened = self.breaker.failed(round, severity, wish, Instant::now(), fastrand::f64());
        let log = &self.parts.log;
        match severity {
            Severity::Lasting if trouble == Trouble::Token && self.parts.target.complaint().raise(&message) => {
                error!(log, "influxdb refuses all writes of all tenants; they are kept"; "error" => message);
            }
            Severity::Lasting if trouble != Trouble::Token && self.told != message => {
                error!(log, "influxdb refuses all writes of a tenant; they are kept"; "error" => &message);
                self.told = message;
            }
            Severity::Passing if opened => {
                warn!(log, "influxdb does not take writes; trying on"; "error" => &message);
                self.told = message;
            }
            _ => debug!(log, "influxdb did not take a batch"; "error" => message),
        }
    }

    /// The server did not say which line it refuses: unless its words are enough to make the lines fit, the halves are
    /// tried, down to the one.
    fn narrow_down(&mut self, batch: Batch, message: String, cause: Cause) {
        let batch = match &cause {
            Cause::Type(conflict @ Conflict { table: Some(_), .. }) => match self.fit_all(batch, conflict) {
                Ok(()) => return,
                Err(batch) => batch,
            },
            _ => batch,
        };
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
        if batch.failures < STUBBORN || batch.written_before == self.written {
            if batch.failures.is_multiple_of(STUBBORN) {
                self.ready.push_back(batch);
            } else {
                self.ready.push_front(batch);
            }
            return;
        }
        // Its halves are on probation: the next failure counts, once others were written meanwhile.
        (batch.failures, batch.written_before) = (STUBBORN - 1, self.written);
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
        for Entry { ticket, owed, .. } in batch.into_entries() {
            if result == LineResult::Ok {
                owed.confirm();
                if let Some(ticket) = ticket {
                    settlement.add(ticket, Verdict::Done);
                }
            } else {
                give_up(ticket, &mut settlement);
            }
        }
        settlement.send();
        self.parts.account.end(result, lines, bytes);
    }

    /// Gives up a batch for now: deliveries go back to the broker, best-effort lines stay owed.
    pub(super) fn abandon(&self, batch: Batch) {
        let result = if batch.is_required() { LineResult::Returned } else { LineResult::Deferred };
        self.end(batch, result);
    }
}

/// Hands a delivery back to the broker; without one, the line stays owed.
pub(super) fn give_up(ticket: Option<Ticket>, settlement: &mut Settlement) -> LineResult {
    match ticket {
        Some(ticket) => {
            settlement.add(ticket, Verdict::Retry);
            LineResult::Returned
        }
        None => LineResult::Deferred,
    }
}
