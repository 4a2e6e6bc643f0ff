//! Databases in memory: who may exist, which type a column has, what was written last.

use std::collections::{BTreeMap, HashMap};

use influxdb_line_protocol::{ParsedLine, parse_lines};

use super::lines::{Kind, Point, Precision, Value, message, tags};
use super::name;

/// Tables of all databases together, columns of one table (the time not counted), as in Core.
const MAX_TABLES: usize = 2_000;
const MAX_COLUMNS: usize = 500;
/// Fields of one family (`family::field`).
const MAX_FAMILY: usize = 100;

/// How far a column's type reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeScope {
    /// Table and column, as in the real server: the first writer fixes the type for all.
    #[default]
    Table,
    /// Each series for itself. For tests in which many devices of one tenant use the same field names for different things,
    /// each of which must be checked alone.
    Series,
}

/// What became of a body.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub lines: usize,
    pub errors: Vec<LineError>,
    /// An error was about a limit.
    pub limit: bool,
    pub poison: usize,
    pub untimed: usize,
}

/// A refused line, as the server reports it.
#[derive(Debug)]
pub(super) struct LineError {
    pub message: String,
    /// Counts from 1, lines with content only.
    pub number: usize,
    /// Cut to 20 bytes.
    pub original: String,
}

/// Why nothing at all was looked at.
#[derive(Debug)]
pub(super) enum WriteError {
    Name(String),
    Limit(String),
    Empty,
}

#[derive(Debug)]
pub(super) struct Store {
    databases: BTreeMap<String, Tables>,
    pub limit: Option<usize>,
    pub max_tables: usize,
    pub max_columns: usize,
    pub max_family: usize,
    /// Lines with the first text are refused with the second as the reason.
    pub refused: Vec<(String, String)>,
    scope: TypeScope,
    /// Every line that was taken, as it came: points of one series and time merge, their lines do not.
    taken: Vec<(String, Point)>,
}

type Tables = HashMap<String, Table>;
type SeriesKey = (Vec<(String, String)>, i64);

#[derive(Clone, Debug, Default)]
struct Table {
    columns: HashMap<String, Kind>,
    /// Types per series where the scope is so narrow; else empty.
    series_columns: HashMap<(Vec<(String, String)>, String), Kind>,
    points: HashMap<SeriesKey, Vec<(String, Value)>>,
}

impl Store {
    pub(super) fn new(limit: Option<usize>, scope: TypeScope) -> Self {
        Self {
            databases: BTreeMap::new(),
            limit,
            max_tables: MAX_TABLES,
            max_columns: MAX_COLUMNS,
            max_family: MAX_FAMILY,
            refused: Vec::new(),
            scope,
            taken: Vec::new(),
        }
    }

    /// Makes sure that a database exists.
    pub(super) fn open(&mut self, database: &str) -> Result<(), WriteError> {
        name::check(database).map_err(WriteError::Name)?;
        if self.databases.contains_key(database) {
            return Ok(());
        }
        if let Some(limit) = self.limit.filter(|limit| self.databases.len() >= *limit) {
            return Err(WriteError::Limit(format!("Adding a new database would exceed limit of {limit} databases")));
        }
        self.databases.insert(database.to_owned(), Tables::new());
        Ok(())
    }

    pub(super) fn exists(&self, database: &str) -> bool {
        self.databases.contains_key(database)
    }

    pub(super) fn remove(&mut self, database: &str) -> bool {
        self.databases.remove(database).is_some()
    }

    /// Writes the good lines of a body, or none of them when one is bad and `partial` is off.
    pub(super) fn write(
        &mut self,
        database: &str,
        body: &str,
        precision: Precision,
        partial: bool,
        now_ns: i64,
    ) -> Result<Written, WriteError> {
        let existed = self.exists(database);
        self.open(database)?;
        let before = (!partial).then(|| self.databases.get(database).cloned()).flatten();
        let mut written = Written::default();
        let mut number = 0;
        let mut texts = body.lines();
        for line in parse_lines(body) {
            number += 1;
            let unwanted = texts.next().and_then(|text| self.reason_against(text));
            let line = unwanted.map_or_else(|| line.map_err(|e| message(&e)), Err);
            let result = line.map_err(|message| (message, false)).and_then(|line| {
                self.write_line(database, &line, precision, now_ns, &mut written).map_err(|e| match e {
                    LineFault::Bad(message) => (message, false),
                    LineFault::Limit(message) => (message, true),
                })
            });
            match result {
                Ok(()) => written.lines += 1,
                Err((message, limit)) => {
                    written.limit |= limit;
                    // The physical line of that number, be it the right one or not: the real server looks it up so, too.
                    let original = body.lines().nth(number - 1).unwrap_or_default();
                    let original = original[..original.floor_char_boundary(20)].to_owned();
                    written.errors.push(LineError { message, number, original });
                    if !partial {
                        // Nothing stays behind.
                        match before {
                            Some(tables) if existed => drop(self.databases.insert(database.to_owned(), tables)),
                            _ => drop(self.databases.remove(database)),
                        }
                        return Ok(Written { lines: 0, poison: 0, untimed: 0, ..written });
                    }
                }
            }
        }
        if number == 0 { Err(WriteError::Empty) } else { Ok(written) }
    }

    /// Why a test does not want this line, where it does not.
    fn reason_against(&self, line: &str) -> Option<String> {
        self.refused.iter().find(|(text, _)| line.contains(text)).map(|(_, reason)| reason.clone())
    }

    fn write_line(
        &mut self,
        database: &str,
        line: &ParsedLine<'_>,
        precision: Precision,
        now_ns: i64,
        written: &mut Written,
    ) -> Result<(), LineFault> {
        let name = line.series.measurement.to_string();
        let time_ns = match line.timestamp {
            Some(timestamp) => precision.nanoseconds(timestamp).ok_or_else(|| {
                LineFault::Bad(format!("timestamp, {timestamp}, out of range for precision: {precision:?}"))
            })?,
            None => now_ns,
        };
        let tables: usize = self.databases.values().map(HashMap::len).sum();
        let owner = database;
        let Some(database) = self.databases.get_mut(database) else { return Ok(()) };
        let (limit, limits) = (self.max_tables, ColumnLimits { columns: self.max_columns, family: self.max_family });
        if !database.contains_key(&name) && tables >= limit {
            return Err(LineFault::Limit(format!(
                "Update to schema would exceed number of tables limit: attempted to create table but already have \
                 {tables} table(s) (limit: {limit})"
            )));
        }
        let table = database.entry(name.clone()).or_default();

        let mut series: Vec<(String, String)> = tags(line).collect();
        series.sort();
        for (key, _) in &series {
            table.column(key, Kind::Tag, limits)?;
        }
        let poison = series.windows(2).any(|pair| pair[0].0 == pair[1].0);

        let mut fields: Vec<(String, Value)> = Vec::with_capacity(line.field_set.len());
        for (field, value) in &line.field_set {
            let (field, value) = (field.to_string(), Value::from(value));
            match self.scope {
                TypeScope::Table => table.column(&field, value.kind(), limits)?,
                TypeScope::Series => table.series_column(&series, &field, value.kind())?,
            }
            if fields.iter().any(|(earlier, _)| *earlier == field) {
                return Err(LineFault::Bad(format!(
                    "invalid line protocol - multiple instances of '{field}' field found"
                )));
            }
            fields.push((field, value));
        }

        written.poison += usize::from(poison);
        written.untimed += usize::from(line.timestamp.is_none());
        let tags = series.iter().cloned().collect();
        self.taken.push((owner.to_owned(), Point { table: name, tags, fields: fields.clone(), time_ns }));
        let point = table.points.entry((series, time_ns)).or_default();
        for (field, value) in fields {
            match point.iter_mut().find(|(stored, _)| *stored == field) {
                Some((_, stored)) => *stored = value,
                None => point.push((field, value)),
            }
        }
        Ok(())
    }

    pub(super) fn define(&mut self, database: &str, table: &str, column: &str, kind: Kind) {
        let database = self.databases.entry(database.to_owned()).or_default();
        let table = database.entry(table.to_owned()).or_default();
        table.columns.insert(column.to_owned(), kind);
    }

    /// The columns of a table, the time included.
    pub(super) fn columns(&self, database: &str, table: &str) -> Vec<String> {
        let table = self.databases.get(database).and_then(|tables| tables.get(table));
        let names = table.into_iter().flat_map(|table| table.columns.keys().cloned());
        names.chain(table.map(|_| "time".to_owned())).collect()
    }

    pub(super) fn databases(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    pub(super) fn point_count(&self, database: &str) -> usize {
        self.databases.get(database).map_or(0, |tables| tables.values().map(|table| table.points.len()).sum())
    }

    pub(super) fn taken(&self, database: &str) -> Vec<Point> {
        self.taken.iter().filter(|(owner, _)| owner == database).map(|(_, point)| point.clone()).collect()
    }

    pub(super) fn points(&self, database: &str) -> Vec<Point> {
        let tables = self.databases.get(database).into_iter().flatten();
        tables
            .flat_map(|(name, table)| {
                table.points.iter().map(|((tags, time_ns), fields)| Point {
                    table: name.clone(),
                    tags: tags.iter().cloned().collect(),
                    fields: fields.clone(),
                    time_ns: *time_ns,
                })
            })
            .collect()
    }
}

/// How many columns a table may have.
#[derive(Clone, Copy)]
struct ColumnLimits {
    columns: usize,
    family: usize,
}

/// Why a line is refused.
enum LineFault {
    Bad(String),
    Limit(String),
}

impl Table {
    /// Checks a column's type, or creates the column. What was created stays, also when the line is refused later.
    fn column(&mut self, name: &str, kind: Kind, limits: ColumnLimits) -> Result<(), LineFault> {
        if name == "time" {
            return conflict(name, Kind::Time, kind);
        }
        if name == "__chunk_order" {
            return Err(LineFault::Bad("'__chunk_order' is a reserved column".to_owned()));
        }
        match self.columns.get(name) {
            Some(known) if *known == kind => Ok(()),
            Some(known) => conflict(name, *known, kind),
            None if self.columns.len() >= limits.columns => Err(LineFault::Limit(format!(
                "Update to schema would exceed number of columns per table limit of {} columns",
                limits.columns
            ))),
            None => {
                self.family(name, limits.family)?;
                self.columns.insert(name.to_owned(), kind);
                Ok(())
            }
        }
    }

    /// A name `a::b` belongs to the family `a`, which holds only so many.
    fn family(&self, name: &str, limit: usize) -> Result<(), LineFault> {
        let Some((family, _)) = name.split_once("::") else { return Ok(()) };
        let members = self.columns.keys().filter(|other| other.split_once("::").is_some_and(|(of, _)| of == family));
        if members.count() < limit {
            return Ok(());
        }
        Err(LineFault::Limit(format!(
            "Update to schema would exceed the field limit ({limit}) for field family '{family}'"
        )))
    }

    fn series_column(&mut self, series: &[(String, String)], name: &str, kind: Kind) -> Result<(), LineFault> {
        if name == "time" {
            return conflict(name, Kind::Time, kind);
        }
        if self.columns.get(name) == Some(&Kind::Tag) {
            return conflict(name, Kind::Tag, kind);
        }
        let known = self.series_columns.entry((series.to_vec(), name.to_owned())).or_insert(kind);
        if *known == kind { Ok(()) } else { conflict(name, *known, kind) }
    }
}

fn conflict(name: &str, expected: Kind, got: Kind) -> Result<(), LineFault> {
    Err(LineFault::Bad(format!("invalid column type for column '{name}', expected {expected}, got {got}")))
}
