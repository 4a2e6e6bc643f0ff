//! What is known of a database's columns: only of those that ever met a refusal.
//!
//! A table has room for so many columns, and so has each family of fields; a line that brings one too many is refused
//! whole, and the server does not say for which of its fields. So each field of such a line that nothing is known of is
//! tried alone, in a line of its own that is a part of the same point ([`Trial`]): what is taken has a column, what is
//! refused has none. Points are then written without the fields that have none, as they are without those whose column
//! holds another type.
//!
//! Nothing is known for good: a database is dropped and made anew, a limit is raised. A field that is left out is tried
//! again with one line every now and then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::influx::field_types::{Conflict, FieldType};
use crate::influx::line_fields::{self, Field, Fields};

/// The field that every point has: it is never tried alone, and never left out for want of a column.
pub(super) const SEQ: &str = "seq";

/// Columns of a table that are remembered. Servers hold fewer; beyond it everything is learned again.
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

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its field is being tried.
    Open,
    /// It is there, and took what it was given.
    There,
    /// It is there and holds this type.
    Holds(FieldType),
    /// It is not there, and the server has no room for it.
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
    /// By table. There are two; each name is as lines begin with it.
    tables: Vec<(String, HashMap<String, Column>)>,
    again_after: Duration,
}

impl Columns {
    /// Nothing is known. `again_after`: how long a field is left out before it is tried again.
    pub fn new(again_after: Duration) -> Self {
        Self { tables: Vec::new(), again_after }
    }

    /// Learns from a refusal that named a column of this table.
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

    /// A trial has told nothing.
    pub fn untold(&mut self, trial: &Trial) {
        if self.known(&trial.table, &trial.column) == Some(Known::Open)
            && let Some(columns) = self.of_mut(&trial.table)
        {
            columns.remove(&trial.column);
        }
    }

    /// No trial tells anything of a field: it is left out as if it had no column.
    pub fn give_up(&mut self, trial: &Trial, now: Instant) {
        if self.known(&trial.table, &trial.column) == Some(Known::Open) {
            self.missing(trial, now);
        }
    }

    /// Forgets a table: what is known of it can't be so.
    pub fn forget(&mut self, table: &str) {
        self.tables.retain(|(name, _)| name != table);
    }

    /// Forgets everything: the database is not there.
    pub fn clear(&mut self) {
        self.tables.clear();
    }

    /// Trials for the fields of a refused line that nothing is known of, from now on under way.
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

    /// Whether nothing is known of a field of the line: it can be tried.
    pub fn has_untried(&self, line: &str) -> bool {
        let table = line_fields::table(line);
        Fields::of(line).any(|field| field.key != SEQ && self.known(table, &field.column()).is_none())
    }

    /// What is known of a column.
    pub(super) fn known(&self, table: &str, column: &str) -> Option<Known> {
        self.of(table)?.get(column).map(|column| column.known)
    }

    /// Whether anything is known of a table.
    pub(super) fn knows(&self, table: &str) -> bool {
        self.of(table).is_some()
    }

    /// A trial for a field that is left out, where it is time for one; the next one is due later.
    pub(super) fn try_again(&mut self, line: &str, field: &Field<'_>, now: Instant) -> Option<Trial> {
        let (table, again_after) = (line_fields::table(line), self.again_after);
        let column = self.of_mut(table)?.get_mut(&*field.column())?;
        if now < column.again_at {
            return None;
        }
        column.again_at = now + again_after;
        self.trial(table, line, field)
    }

    /// A field with `seq`, unless `seq` itself would be refused.
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
