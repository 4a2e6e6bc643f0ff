//! Points made to fit what is known of their columns' types.

use slog::warn;

use super::Batcher;
use crate::core::field_types::{Conflict, Fitted};
use crate::core::line_protocol::Skipped;
use crate::message::Point;
use crate::sink::influx::batch::{Batch, Filling};

/// Why a point is refused that has no field left.
pub(super) const NOTHING_FITS: &str = "its columns hold other types than its values";

/// Columns of one tenant that the log and `/stats` name: their names come from devices.
const MOST_COLUMNS: usize = 50;

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
    /// Makes a point fit its columns, as far as they are known.
    pub(super) fn fit(&mut self, point: &mut Point) -> Fit {
        match self.types.fit(&point.line) {
            Fitted::AsIs => Fit::Same,
            Fitted::Changed { line, skipped } => {
                self.report_misfits(skipped);
                self.parts.account.shrink(point.line.len() - line.len());
                point.line = line;
                Fit::Changed
            }
            Fitted::Nothing => Fit::Nothing,
        }
    }

    /// A batch was refused for a column's type, without a line's number: learns the type, and puts the batch back with
    /// every line made to fit.
    ///
    /// # Errors
    /// The batch, where that changes nothing of it.
    pub(super) fn fit_all(&mut self, batch: Batch, conflict: &Conflict) -> Result<(), Batch> {
        let Some(table) = conflict.table.clone() else { return Err(batch) };
        self.types.learn_of(&table, conflict.clone());
        let (since, mut fitted, mut is_changed, mut refused) = (batch.since(), Filling::default(), false, Vec::new());
        for mut point in batch.into_points() {
            match self.fit(&mut point) {
                Fit::Nothing => {
                    is_changed = true;
                    refused.push(self.refused(point, NOTHING_FITS.to_owned()));
                }
                fit => {
                    is_changed |= fit == Fit::Changed;
                    fitted.push(point, since);
                }
            }
        }
        self.refuse(refused);
        match fitted.seal() {
            Some(batch) if is_changed => self.ready.push_front(batch),
            Some(batch) => return Err(batch),
            None => {}
        }
        Ok(())
    }

    /// Values that their columns can't hold: counted, and each column told once. Their rows hold them.
    fn report_misfits(&mut self, columns: Vec<String>) {
        self.parts.metrics.fields_skipped.of(Skipped::TypeConflict).inc_by(columns.len() as u64);
        for column in columns {
            self.parts.account.misfit(&column, MOST_COLUMNS);
            if self.told_columns.len() < MOST_COLUMNS && !self.told_columns.contains(&column) {
                warn!(self.parts.log, "values do not fit their column's type and are left out of points; rows have them";
                    "column" => &column);
                self.told_columns.insert(column);
            }
        }
    }
}
