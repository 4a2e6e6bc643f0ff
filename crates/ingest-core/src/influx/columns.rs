//! Column cache: what is known of a database's columns, only of those that were ever part of a rejected line.
//!
//! A table has a limit of columns, and so has each family of fields. A line that would exceed it is rejected as a whole,
//! and the server does not name the field. So each unknown field of such a line is tried alone, in a line of its own that
//! is a part of the same point ([`Trial`]): an accepted field has a column, a rejected one has none. Points are then written
//! without the fields that have no column or whose column holds another type.
//!
//! No entry is final: a database may be dropped and created again, a limit raised. A field that is left out is tried again
//! with one line from time to time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::influx::field_types::{Conflict, FieldType};
use crate::influx::line_fields::{self, Field, Fields};

/// The field that every point has: it is never tried alone, and never left out for lack of a column.
pub(super) const SEQ: &str = "seq";

/// Most columns of a table that are cached. Servers hold fewer; beyond it the cache of the table starts again.
const MOST_COLUMNS: usize = 4_096;

/// A field that is tried alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// The line: its point with `seq` and no other field.
    pub line: String,
}

/// State of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its field is being tried.
    Open,
    /// It exists, and accepted its value.
    There,
    /// It exists and holds this type.
    Holds(FieldType),
    /// It does not exist, and the server has no capacity for it.
    Missing,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    known: Known,
    /// When a field that is left out for it may be tried again.
    again_at: Instant,
}

/// What is known of the columns of one database.
#[derive(Clone, Debug)]
pub struct Columns {
    /// By table, named as lines begin. There are two.
    tables: Vec<(String, HashMap<String, Column>)>,
    again_after: Duration,
}

impl Columns {
    /// An empty cache. `again_after`: how long a field is left out before it is tried again.
    pub fn new(again_after: Duration) -> Self {
        Self { tables: Vec::new(), again_after }
    }

    /// Learns from a rejection that named a column of this table.
    pub fn conflict(&mut self, table: &str, conflict: Conflict, now: Instant) {
        self.learn(table, &conflict.column, Known::Holds(conflict.expected), now);
    }

    /// A field that was tried has a column.
    pub fn there(&mut self, trial: &Trial, now: Instant) {
        self.learn(&trial.table, &trial.column, Known::There, now);
    }

    /// A field that was tried has none.
    pub fn missing(&mut self, trial: &Trial, now: Instant) {
        self.learn(&trial.table, &trial.column, Known::Missing, now);
    }

    /// A trial without a conclusive answer: its field is unknown again.
    pub fn inconclusive(&mut self, trial: &Trial) {
        if self.known(&trial.table, &trial.column) == Some(Known::Open)
            && let Some(columns) = self.of_mut(&trial.table)
        {
            columns.remove(&trial.column);
        }
    }

    /// No trial of a field is conclusive: it is left out as if it had no column.
    pub fn assume_missing(&mut self, trial: &Trial, now: Instant) {
        if self.known(&trial.table, &trial.column) == Some(Known::Open) {
            self.missing(trial, now);
        }
    }

    /// Forgets a table: what is known of it must be wrong.
    pub fn forget(&mut self, table: &str) {
        self.tables.retain(|(name, _)| name != table);
    }

    /// Forgets everything: the database does not exist.
    pub fn clear(&mut self) {
        self.tables.clear();
    }

    /// Trials for the unknown fields of a rejected line; they count as being tried from now on.
    pub fn trials(&mut self, line: &str, now: Instant) -> Vec<Trial> {
        let table = line_fields::table(line);
        let mut trials = Vec::new();
        for field in Fields::of(line) {
            let column = field.column();
            if *column == *SEQ || self.known(table, &column).is_some() {
                continue;
            }
            if let Some(trial) = self.trial(table, line, &field) {
                self.learn(table, &column, Known::Open, now);
                trials.push(trial);
            }
        }
        trials
    }

    /// Whether a field of the line is being tried.
    pub fn has_open(&self, line: &str) -> bool {
        let table = line_fields::table(line);
        Fields::of(line).any(|field| self.known(table, &field.column()) == Some(Known::Open))
    }

    /// Whether a field of the line is unknown and can be tried.
    pub fn has_untried(&self, line: &str) -> bool {
        let table = line_fields::table(line);
        Fields::of(line).any(|field| field.key != SEQ && self.known(table, &field.column()).is_none())
    }

    /// The state of a column, where it is known.
    pub(super) fn known(&self, table: &str, column: &str) -> Option<Known> {
        self.of(table)?.get(column).map(|column| column.known)
    }

    /// Whether any column of a table is known.
    pub(super) fn knows(&self, table: &str) -> bool {
        self.of(table).is_some()
    }

    /// A trial for a field that is left out, where one is due; the next one is due later.
    pub(super) fn try_again(&mut self, line: &str, field: &Field<'_>, now: Instant) -> Option<Trial> {
        let (table, again_after) = (line_fields::table(line), self.again_after);
        let column = self.of_mut(table)?.get_mut(&*field.column())?;
        if now < column.again_at {
            return None;
        }
        column.again_at = now + again_after;
        self.trial(table, line, field)
    }

    /// A field with `seq`, unless `seq` itself would be rejected.
    fn trial(&self, table: &str, line: &str, field: &Field<'_>) -> Option<Trial> {
        let fits_seq = !matches!(self.known(table, SEQ), Some(Known::Holds(_)));
        let line = line_fields::with_only(line, |other| other.key == field.key || (fits_seq && other.key == SEQ))?;
        Some(Trial { table: table.to_owned(), column: field.column().into_owned(), line })
    }

    fn learn(&mut self, table: &str, column: &str, known: Known, now: Instant) {
        let index = self.tables.iter().position(|(name, _)| name == table).unwrap_or_else(|| {
            self.tables.push((table.to_owned(), HashMap::new()));
            self.tables.len() - 1
        });
        let columns = &mut self.tables[index].1;
        if columns.len() >= MOST_COLUMNS && !columns.contains_key(column) {
            columns.clear();
        }
        columns.insert(column.to_owned(), Column { known, again_at: now + self.again_after });
    }

    fn of(&self, table: &str) -> Option<&HashMap<String, Column>> {
        self.tables.iter().find(|(name, _)| name == table).map(|(_, columns)| columns)
    }

    fn of_mut(&mut self, table: &str) -> Option<&mut HashMap<String, Column>> {
        self.tables.iter_mut().find(|(name, _)| name == table).map(|(_, columns)| columns)
    }
}
