//! The fields of a line, one by one: written, coerced or left out.

use std::time::{Duration, Instant};

use crate::influx::columns::{Columns, Known, SEQ, Trial};
use crate::influx::field_budget::{Admission, FieldBudget};
use crate::influx::field_types::FieldType;
use crate::influx::line_fields::{self, Edit, Field, Fields};
use crate::influx::line_protocol::Skipped;

/// What became of a line that was made to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitted {
    /// It fits as it is.
    AsIs,
    /// It fits in this form.
    Changed {
        /// The line.
        line: String,
        /// Columns of the fields left out of it, and why.
        skipped: Vec<(String, Skipped)>,
    },
    /// No field of it fits.
    Nothing,
    /// The server should be asked first which columns there are ([`FieldBudget::answered`]).
    Ask,
}

/// All that decides which fields of one tenant's points are written.
#[derive(Clone, Debug)]
pub struct Fitting {
    /// What is known of its columns.
    pub columns: Columns,
    /// What it may make.
    pub budget: FieldBudget,
    due: Vec<Trial>,
}

impl Fitting {
    /// Nothing is known yet. `again_after`: how long a field is left out before it is tried again.
    pub fn new(budget: FieldBudget, again_after: Duration) -> Self {
        Self { columns: Columns::new(again_after), budget, due: Vec::new() }
    }

    /// Makes a line fit what is known.
    pub fn fit(&mut self, line: &str, now: Instant) -> Fitted {
        let table = line_fields::table(line);
        let knows = self.columns.knows(table);
        if !knows && self.budget.knows_all(line) {
            return Fitted::AsIs;
        }
        let (mut edit, mut skipped) = (Edit::of(line), Vec::new());
        let mut fields = Fields::of(line);
        for field in fields.by_ref() {
            let why = if field.key == SEQ {
                None
            } else {
                match self.budget.admit(field.key, now) {
                    Admission::Yes => None,
                    Admission::No => Some(Skipped::FieldBudget),
                    Admission::Ask => return Fitted::Ask,
                }
            };
            let why =
                why.or_else(|| if knows { self.write(&mut edit, table, &field) } else { keep(&mut edit, &field) });
            let Some(why) = why else { continue };
            edit.skip(&field);
            skipped.push((field.column().into_owned(), why));
            if why != Skipped::FieldBudget {
                self.due.extend(self.columns.try_again(line, &field, now));
            }
        }
        if !edit.is_changed() || !fields.is_whole() {
            return Fitted::AsIs; // unchanged, or no line protocol: the server will say so
        }
        match edit.finish() {
            Some(line) => Fitted::Changed { line, skipped },
            None => Fitted::Nothing,
        }
    }

    /// Fields that were left out for so long that they should be tried again.
    pub fn take_due(&mut self) -> Vec<Trial> {
        std::mem::take(&mut self.due)
    }

    /// Writes a field as its column takes it; or says why it has to be left out.
    fn write(&self, edit: &mut Edit<'_>, table: &str, field: &Field<'_>) -> Option<Skipped> {
        match self.columns.known(table, &field.column()) {
            Some(Known::Missing) => Some(Skipped::ColumnsFull),
            Some(Known::Holds(held)) => match FieldType::hold(held, field.value) {
                Some(value) => {
                    edit.write(field, &value);
                    None
                }
                None => Some(Skipped::TypeConflict),
            },
            None | Some(Known::Open | Known::There) => keep(edit, field),
        }
    }
}

fn keep(edit: &mut Edit<'_>, field: &Field<'_>) -> Option<Skipped> {
    edit.keep(field);
    None
}
