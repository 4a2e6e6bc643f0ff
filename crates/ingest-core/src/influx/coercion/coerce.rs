//! The fields of a line, one by one: written, coerced or left out.

use std::time::{Duration, Instant};

use crate::influx::columns::{Columns, Known, SEQ, Trial};
use crate::influx::field_budget::{Admission, FieldBudget};
use crate::influx::field_types::FieldType;
use crate::influx::line_fields::{self, Edit, Field, Fields};
use crate::influx::line_protocol::Skipped;

/// Result of coercing a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coerced {
    /// Unchanged.
    AsIs,
    /// Changed.
    Changed {
        /// The line.
        line: String,
        /// Columns of the fields left out of it, and why.
        skipped: Vec<(String, Skipped)>,
    },
    /// No field is left.
    Nothing,
    /// The server should be asked first which columns there are ([`FieldBudget::answered`]).
    Ask,
}

/// What decides which fields of one tenant's points are written, and with which types.
#[derive(Clone, Debug)]
pub struct Coercion {
    /// The cache of its columns.
    pub columns: Columns,
    /// The budget of new columns.
    pub budget: FieldBudget,
    due: Vec<Trial>,
}

impl Coercion {
    /// With an empty column cache. `again_after`: how long a field is left out before it is tried again.
    pub fn new(budget: FieldBudget, again_after: Duration) -> Self {
        Self { columns: Columns::new(again_after), budget, due: Vec::new() }
    }

    /// Coerces a line to the known columns.
    pub fn coerce(&mut self, line: &str, now: Instant) -> Coerced {
        let table = line_fields::table(line);
        let knows = self.columns.knows(table);
        if !knows && self.budget.knows_all(line) {
            return Coerced::AsIs;
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
                    Admission::Ask => return Coerced::Ask,
                }
            };
            let why = why.or_else(|| {
                if knows { self.write(&mut edit, table, &field) } else { write_unchanged(&mut edit, &field) }
            });
            let Some(why) = why else { continue };
            edit.skip(&field);
            skipped.push((field.column().into_owned(), why));
            if why != Skipped::FieldBudget {
                self.due.extend(self.columns.try_again(line, &field, now));
            }
        }
        if !edit.is_changed() || !fields.is_whole() {
            return Coerced::AsIs; // unchanged, or not line protocol: the server rejects it
        }
        match edit.finish() {
            Some(line) => Coerced::Changed { line, skipped },
            None => Coerced::Nothing,
        }
    }

    /// Takes the trials of fields that were left out and are due to be tried again.
    pub fn take_due(&mut self) -> Vec<Trial> {
        std::mem::take(&mut self.due)
    }

    /// Writes a field with the type of its column; or why it has to be left out.
    fn write(&self, edit: &mut Edit<'_>, table: &str, field: &Field<'_>) -> Option<Skipped> {
        match self.columns.known(table, &field.column()) {
            Some(Known::Missing) => Some(Skipped::ColumnsFull),
            Some(Known::Holds(held)) => match FieldType::coerce(held, field.value) {
                Some(value) => {
                    edit.write(field, &value);
                    None
                }
                None => Some(Skipped::TypeConflict),
            },
            None | Some(Known::Open | Known::There) => write_unchanged(edit, field),
        }
    }
}

fn write_unchanged(edit: &mut Edit<'_>, field: &Field<'_>) -> Option<Skipped> {
    edit.copy_field(field);
    None
}
