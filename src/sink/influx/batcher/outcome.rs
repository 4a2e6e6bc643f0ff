//! What an answer means for the lines it is about: how each of them ends, or is tried again.

use std::time::{Duration, Instant};

use slog::{debug, error, info, warn};

use super::Batcher;
use crate::core::disposition::Verdict;
use crate::core::field_types::Fitted;
use crate::core::line_protocol::Skipped;
use crate::delivery::{Settlement, Ticket};
use crate::message::{Point, Refuse, RefusedPoint};
use crate::metrics::{FlushResult, LineResult};
use crate::sink::Fault;
use crate::sink::influx::batch::{Batch, Entry, Filling};
use crate::sink::influx::breaker::{Round, Severity};
use crate::sink::influx::classify::{Cause, Outcome, RefusedLine};

/// A batch that failed so often while others were written is taken for the cause.
const STUBBORN: u32 = 5;

/// What became of a point that was made to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It fits as it was.
    Same,
    /// It was changed and fits.
    Changed,
    /// No field of it fits.
    Nothing,
}

impl Batcher {
    /// A request has ended: what that means for its lines, and for those after them.
    pub(super) fn landed(&mut self, batch: Batch, round: Round, outcome: Outcome) {
        let flushes = &self.parts.metrics.flushes;
        match &outcome {
            Outcome::Written => flushes.of(FlushResult::Ok).inc(),
            Outcome::Refused { rest_written: true, .. } => flushes.of(FlushResult::Partial).inc(),
            _ => flushes.of(FlushResult::Failed).inc(),
        };
        match outcome {
            Outcome::Failed { fault, retry_after } => {
                self.failed(round, fault, retry_after);
                self.try_again(batch);
                return;
            }
            Outcome::Written => self.end(batch, LineResult::Ok),
            Outcome::Refused { lines, rest_written } => self.sort_out(batch, lines, rest_written),
            Outcome::Halve(message) => match batch.halve() {
                (first, Some(second)) => {
                    self.ready.push_front(second);
                    self.ready.push_front(first);
                }
                (single, None) => {
                    let line = RefusedLine { index: 0, message, cause: Cause::Line };
                    self.sort_out(single, vec![line], true);
                }
            },
        }
        self.written += 1;
        self.parts.account.request_ended(None);
        if self.breaker.succeeded(round) {
            info!(self.parts.log, "influxdb takes writes again"; "held_lines" => self.parts.account.held_lines());
            self.told.clear();
        }
    }

    fn failed(&mut self, round: Round, fault: Fault, wish: Option<Duration>) {
        let (severity, message) = match fault {
            Fault::Fatal(message) => (Severity::Lasting, message),
            Fault::Transient(message) | Fault::Poison { message, .. } => (Severity::Passing, message),
        };
        self.parts.account.request_ended(Some(&message));
        let opened = self.breaker.failed(round, severity, wish, Instant::now(), fastrand::f64());
        let log = &self.parts.log;
        match severity {
            Severity::Lasting if self.told != message => {
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

    /// Lines were refused by name: those that can be written in another form are, the others go to the quarantine.
    fn sort_out(&mut self, batch: Batch, lines: Vec<RefusedLine>, rest_written: bool) {
        let since = batch.since();
        let (taken, rest) = batch.take(lines);
        match rest {
            Some(rest) if rest_written => self.end(rest, LineResult::Ok),
            Some(rest) => self.ready.push_front(rest),
            None => {}
        }
        let (mut repaired, mut refused, mut no_room) = (Filling::default(), Vec::new(), Vec::new());
        for (mut point, RefusedLine { message, cause, .. }) in taken {
            match cause {
                Cause::Type(conflict) => {
                    self.types.learn(&point.line, conflict);
                    match self.fit(&mut point) {
                        Fit::Changed => repaired.push(point, since),
                        Fit::Same | Fit::Nothing => refused.push(self.refused(point, message)),
                    }
                }
                Cause::NoRoom => {
                    self.parts.account.remember(&message);
                    no_room.push(point);
                }
                Cause::Line => refused.push(self.refused(point, message)),
            }
        }
        if let Some(repaired) = repaired.seal() {
            self.ready.push_front(repaired);
        }
        self.leave_owed(no_room);
        self.refuse(refused);
    }

    /// Lines for which the server has no table: nothing is wrong with them, and nothing but an operator can help.
    fn leave_owed(&mut self, points: Vec<Point>) {
        if points.is_empty() {
            return;
        }
        const TOLD: &str = "no room for another table";
        if self.told != TOLD {
            error!(self.parts.log, "influxdb has no room for another table; the lines of this one stay owed";
                "lines" => points.len());
            TOLD.clone_into(&mut self.told);
        }
        let mut settlement = Settlement::default();
        for point in points {
            let result = give_up(point.ticket, &mut settlement);
            self.parts.account.end(result, 1, point.line.len() + 1);
        }
        settlement.send();
    }

    pub(super) fn refused(&self, point: Point, message: String) -> RefusedPoint {
        let Point { line, origin, ticket, owed } = point;
        self.parts.account.end(LineResult::Refused, 1, line.len() + 1);
        RefusedPoint { tenant_id: self.parts.tenant_id.clone(), origin, line, message, ticket, owed }
    }

    pub(super) fn refuse(&self, points: Vec<RefusedPoint>) {
        let Some(first) = points.first() else { return };
        // The server's words may repeat a value.
        debug!(self.parts.log, "a line was refused"; "message" => &first.message);
        warn!(self.parts.log, "influxdb refused lines"; "lines" => points.len());
        if let Some(router) = self.parts.refuse.upgrade() {
            router.do_send(Refuse { points });
        }
    }

    /// All lines of a batch have met the same fate.
    fn end(&self, batch: Batch, result: LineResult) {
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

    /// Makes a point fit its columns, as far as they are known.
    pub(super) fn fit(&self, point: &mut Point) -> Fit {
        match self.types.fit(&point.line) {
            Fitted::AsIs => Fit::Same,
            Fitted::Changed { line, skipped } => {
                if skipped > 0 {
                    self.parts.metrics.fields_skipped.of(Skipped::TypeConflict).inc_by(skipped);
                }
                self.parts.account.shrink(point.line.len() - line.len());
                point.line = line;
                Fit::Changed
            }
            Fitted::Nothing => Fit::Nothing,
        }
    }
}

/// Hands a delivery back to the broker; without one, the line stays owed.
fn give_up(ticket: Option<Ticket>, settlement: &mut Settlement) -> LineResult {
    match ticket {
        Some(ticket) => {
            settlement.add(ticket, Verdict::Retry);
            LineResult::Returned
        }
        None => LineResult::Deferred,
    }
}
