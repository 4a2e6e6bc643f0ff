//! Batches made to fit, right before they are sent: whatever was learned since their points came is heeded.

use std::time::Instant;

use actix::prelude::*;
use slog::{error, warn};

use super::Batcher;
use super::logged::MOST;
use crate::sink::influx::batch::Batch;
use crate::sink::influx::classify::{Cause, RefusedLine};
use ingest_core::influx::coercion::Coerced;
use ingest_core::influx::field_types::Conflict;
use ingest_core::influx::line_fields::{self, Fields};
use ingest_core::influx::line_protocol::Skipped;

/// Why a point is refused that has no field left.
const NOTHING_FITS: &str = "its columns hold other types than its values";

impl Batcher {
    /// Makes a batch fit. `None`: nothing is left of it, or the server is asked first.
    pub(super) fn fitted(&mut self, batch: Batch, now: Instant, ctx: &mut Context<Self>) -> Option<Batch> {
        let (mut changed, mut nothing, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut asks = false;
        for (index, line) in batch.lines().enumerate() {
            match self.fitting.coerce(line, now) {
                Coerced::AsIs => {}
                Coerced::Changed { line, skipped } => {
                    changed.push((index, line));
                    left_out.extend(skipped);
                }
                Coerced::Nothing => {
                    nothing.push(RefusedLine { index, message: NOTHING_FITS.to_owned(), cause: Cause::Line });
                }
                Coerced::Ask => {
                    asks = true;
                    break;
                }
            }
        }
        if asks {
            self.ready.push_front(batch);
            self.ask(now, ctx);
            return None;
        }
        self.trials.add_due(self.fitting.take_due());
        self.report_left_out(left_out);
        if changed.is_empty() && nothing.is_empty() { Some(batch) } else { self.changed(batch, changed, nothing) }
    }

    fn changed(&mut self, batch: Batch, lines: Vec<(usize, String)>, nothing: Vec<RefusedLine>) -> Option<Batch> {
        let before = batch.body().len();
        let batch = batch.replace(lines);
        self.parts.buffer.resize(before, batch.body().len());
        if nothing.is_empty() {
            return Some(batch);
        }
        let (taken, rest) = batch.take(nothing);
        let refused = taken.into_iter().map(|(point, line)| self.refused(point, line.message)).collect();
        self.refuse(refused);
        rest
    }

    /// Whether what is known changes a line of a batch that was refused as a whole.
    pub(super) fn would_change(&mut self, batch: &Batch) -> bool {
        let now = Instant::now();
        batch.lines().any(|line| self.fitting.coerce(line, now) != Coerced::AsIs)
    }

    /// A batch was refused for a column's type, without a line's number: learns the type, where it can be told of which
    /// table.
    pub(super) fn learn_of_batch(&mut self, batch: &Batch, conflict: &Conflict) {
        let table = match &conflict.table {
            Some(table) => table.clone(),
            None => {
                let has_it = |line: &&str| Fields::of(line).any(|field| *field.column() == *conflict.column);
                let mut tables = batch.lines().filter(has_it).map(line_fields::table);
                let Some(table) = tables.next() else { return };
                if tables.any(|other| other != table) {
                    return;
                }
                table.to_owned()
            }
        };
        self.fitting.columns.conflict(&table, conflict.clone(), Instant::now());
    }

    /// Fields that are left out: counted, and told once. Their rows hold them.
    fn report_left_out(&mut self, fields: Vec<(String, Skipped)>) {
        for (column, why) in fields {
            self.parts.metrics.fields_skipped.of(why).inc();
            if why == Skipped::FieldBudget {
                self.report_spent_budget();
                continue;
            }
            self.parts.buffer.type_conflict(&column, MOST);
            if why == Skipped::TypeConflict && self.logged.columns.is_new(&column) {
                warn!(self.parts.log, "values do not fit their column's type and are left out of points; rows have them";
                    "column" => column);
            }
        }
    }

    fn report_spent_budget(&mut self) {
        if !std::mem::replace(&mut self.logged.is_budget_spent, true) {
            error!(self.parts.log, "a tenant's metrics have more names than it may make columns of; the others are left \
                out of points, rows have them"; "max_fields_per_tenant" => self.parts.config.columns.max_fields_per_tenant);
        }
    }
}
