//! Lines that the server refused: those that can be written in another form are, the others are quarantined or stay owed.

use std::time::Instant;

use slog::{error, warn};

use super::Batcher;
use super::outcome::give_up;
use crate::delivery::Settlement;
use crate::message::{Point, QuarantinePoints, RejectedPoint};
use crate::metrics::{LineResult, ServerLimit};
use crate::sink::influx::batch::{Batch, Filling};
use crate::sink::influx::classify::{Cause, RefusedLine, without_quotes};
use ingest_core::influx::coercion::Coerced;
use ingest_core::influx::line_fields;

impl Batcher {
    /// Lines were refused by name.
    pub(super) fn sort_out(&mut self, batch: Batch, lines: Vec<RefusedLine>, rest_written: bool) {
        let since = batch.since();
        let (taken, rest) = batch.take(lines);
        match rest {
            Some(rest) if rest_written => self.end(rest, LineResult::Ok),
            Some(rest) => self.ready.push_front(rest),
            None => {}
        }
        let (mut repaired, mut refused, mut unwritable) = (Filling::default(), Vec::new(), Vec::new());
        let mut wide = Vec::new();
        for (point, RefusedLine { message, cause, .. }) in taken {
            match cause {
                Cause::Type(conflict) => {
                    let now = Instant::now();
                    self.fitting.columns.conflict(line_fields::table(&point.line), conflict, now);
                    if self.fitting.coerce(&point.line, now) == Coerced::AsIs {
                        refused.push(self.refused(point, message));
                    } else {
                        repaired.push(point, since);
                    }
                }
                Cause::NoTable => {
                    self.report_no_table(line_fields::table(&point.line), &message);
                    unwritable.push(point);
                }
                Cause::NoColumn => {
                    self.report_full(line_fields::table(&point.line), &message);
                    wide.push(point);
                }
                Cause::Line => refused.push(self.refused(point, message)),
            }
        }
        let are_tried = self.try_fields(wide.iter().map(|point| point.line.as_str()), Instant::now());
        for point in wide {
            // Only so many fields are tried at once: the other lines come again when something is known of these.
            let comes_next = are_tried && self.fitting.columns.has_untried(&point.line);
            if comes_next || self.has_a_way(&point.line) {
                repaired.push(point, since);
            } else {
                unwritable.push(point);
            }
        }
        if let Some(repaired) = repaired.seal() {
            self.ready.push_front(repaired);
        }
        self.leave_owed(unwritable);
        self.refuse(refused);
    }

    /// Whether a point that brings a column too many can be written without. Where all its fields have columns, what is
    /// known of them is out of date, or the table lacks the tags: then it stays owed, and everything is learned again.
    fn has_a_way(&mut self, line: &str) -> bool {
        if self.fitting.columns.has_open(line) || self.fitting.coerce(line, Instant::now()) != Coerced::AsIs {
            return true;
        }
        self.fitting.columns.forget(line_fields::table(line));
        false
    }

    /// A batch holds lines that bring a column too many, and it is not said which.
    pub(super) fn report_full_table(&mut self, batch: &Batch, message: &str) {
        // Only telemetry brings columns of its own.
        let table = batch.lines().map(line_fields::table).max().unwrap_or_default().to_owned();
        self.report_full(&table, message);
    }

    fn report_full(&mut self, table: &str, message: &str) {
        self.parts.metrics.limits.of(ServerLimit::Columns).inc();
        self.parts.buffer.remember(message);
        if self.logged.full_tables.is_new(table) {
            error!(self.parts.log, "influxdb has no room for another column of a table; points are written without the \
                columns that are not there, rows have them"; "table" => table, "why" => without_quotes(message));
        }
    }

    /// Lines for which the server has no room: nothing is wrong with them, and nothing but an operator can help.
    fn leave_owed(&mut self, points: Vec<Point>) {
        let mut settlement = Settlement::default();
        for point in points {
            let result = give_up(point.guard, &mut settlement);
            self.parts.buffer.end(result, 1, point.line.len() + 1);
        }
        settlement.send();
    }

    pub(super) fn refused(&self, point: Point, message: String) -> RejectedPoint {
        let Point { line, origin, guard, owed } = point;
        self.parts.buffer.end(LineResult::Refused, 1, line.len() + 1);
        RejectedPoint { tenant_id: self.parts.tenant_id.clone(), origin, line, message, guard, owed }
    }

    /// Hands points to the quarantine. Why they are refused is said once for each sentence of the server's.
    pub(super) fn refuse(&mut self, points: Vec<RejectedPoint>) {
        if points.is_empty() {
            return;
        }
        for point in &points {
            let why = without_quotes(&point.message);
            if self.logged.rejections.is_new(&why) {
                warn!(self.parts.log, "influxdb refuses points; they are quarantined, their rows stay"; "why" => why);
            }
        }
        self.parts.quarantine.do_send(QuarantinePoints { points });
    }
}
