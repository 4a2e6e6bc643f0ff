//! Lines that the server refused: those that can be written in another form are, the others are quarantined or stay owed.

use slog::{debug, error, warn};

use super::Batcher;
use super::fit::Fit;
use super::outcome::give_up;
use crate::delivery::Settlement;
use crate::message::{Point, Refuse, RefusedPoint};
use crate::metrics::{LineResult, ServerLimit};
use crate::sink::influx::batch::{Batch, Filling};
use crate::sink::influx::classify::{Cause, RefusedLine};

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
        let (mut repaired, mut refused, mut no_table, mut no_column) = (Filling::default(), Vec::new(), Vec::new(), 0);
        for (mut point, RefusedLine { message, cause, .. }) in taken {
            match cause {
                Cause::Type(conflict) => {
                    self.types.learn(&point.line, conflict);
                    match self.fit(&mut point) {
                        Fit::Changed => repaired.push(point, since),
                        Fit::Same | Fit::Nothing => refused.push(self.refused(point, message)),
                    }
                }
                Cause::NoTable => {
                    self.parts.account.remember(&message);
                    no_table.push(point);
                }
                Cause::NoColumn => {
                    no_column += 1;
                    refused.push(self.refused(point, message));
                }
                Cause::Line => refused.push(self.refused(point, message)),
            }
        }
        if let Some(repaired) = repaired.seal() {
            self.ready.push_front(repaired);
        }
        self.leave_owed(no_table);
        self.report_full_table(no_column);
        self.refuse(refused);
    }

    /// Lines that bring another column to a table that has all it can have. Their rows hold everything.
    fn report_full_table(&mut self, lines: u64) {
        const TOLD: &str = "no room for another column";
        if lines == 0 {
            return;
        }
        self.parts.metrics.limits.of(ServerLimit::Columns).inc_by(lines);
        if self.told != TOLD {
            error!(self.parts.log, "influxdb's table has no room for another column; points that need one are quarantined";
                "lines" => lines);
            TOLD.clone_into(&mut self.told);
        }
    }

    /// Lines for which the server has no table: nothing is wrong with them, and nothing but an operator can help.
    fn leave_owed(&mut self, points: Vec<Point>) {
        if points.is_empty() {
            return;
        }
        const TOLD: &str = "no room for another table";
        self.parts.metrics.limits.of(ServerLimit::Tables).inc_by(points.len() as u64);
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
}
