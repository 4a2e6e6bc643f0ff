//! The TOML file: every mistake in it with its line.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use toml::de::DeTable;
use toml::{Table, Value};

use super::diagnostics::Diagnostics;
use super::forms;
use super::nearest::{nearest, tolerance};
use super::settings::{self, all};
use crate::runtime::setting::Setting;

/// The file that is read when none is named; it need not exist.
const DEFAULT_PATH: &str = "config/ingest-node.toml";

/// The file that is read: the named one, else the default.
pub(super) fn path(named: Option<&Path>) -> &Path {
    named.unwrap_or(Path::new(DEFAULT_PATH))
}

/// The settings of the file with their values. Only a file that was named must exist.
pub(super) fn read(named: Option<&Path>, diagnostics: &mut Diagnostics) -> Vec<(&'static Setting, Value)> {
    let file = path(named);
    match fs::read_to_string(file) {
        Ok(text) => Document { file, text: &text, diagnostics, found: Vec::new() }.read(),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            diagnostics.file_unread(format!("{} can't be read: {error}", file.display()));
            Vec::new()
        }
    }
}

/// A file while it is read.
struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    diagnostics: &'a mut Diagnostics,
    found: Vec<Found>,
}

/// A setting of the file.
struct Found {
    setting: &'static Setting,
    /// Its key in the file: its own, or the one that it had before.
    key: String,
    /// Where it stands.
    at: usize,
    value: Value,
}

impl Document<'_> {
    fn read(mut self) -> Vec<(&'static Setting, Value)> {
        let (places, errors) = DeTable::parse_recoverable(self.text);
        let tables = match self.text.parse::<Table>() {
            Ok(tables) if errors.is_empty() => tables,
            Ok(_) => return self.syntax(&errors),
            Err(error) if errors.is_empty() => return self.syntax(&[error]),
            Err(_) => return self.syntax(&errors),
        };
        self.tables(tables, places.get_ref());
        self.found.into_iter().map(|found| (found.setting, found.value)).collect()
    }

    /// The tables of the file itself.
    fn tables(&mut self, tables: Table, places: &DeTable<'_>) {
        for (name, value) in tables {
            let (at, below) = place(places, &name).unwrap_or_default();
            match value {
                Value::Table(settings) if settings::is_table(&name) => self.table(&name, settings, at, below),
                _ => self.unknown(at, None, &name),
            }
        }
    }

    /// One table, with those below it.
    fn table(&mut self, table: &str, settings: Table, at: usize, places: Option<&DeTable<'_>>) {
        for (name, value) in settings {
            let (at, below) = places.and_then(|places| place(places, &name)).unwrap_or((at, None));
            let key = format!("{table}.{name}");
            match value {
                Value::Table(settings) if settings::is_table(&key) => self.table(&key, settings, at, below),
                value => match (settings::find(&key), settings::moved(&key)) {
                    (Some(setting), _) => self.setting(setting, &key, value, at),
                    (None, Some(setting)) => {
                        let line = self.line(at);
                        let notice = format!("{line}: {key} is {} now; it still works under both names", setting.key);
                        self.diagnostics.notices.push(notice);
                        self.setting(setting, &key, value, at);
                    }
                    (None, None) => self.unknown(at, Some(table), &name),
                },
            }
        }
    }

    /// A setting's value, under the `key` that the file gives it.
    fn setting(&mut self, setting: &'static Setting, key: &str, value: Value, at: usize) {
        if let Some(other) = self.found.iter().find(|found| found.setting.key == setting.key) {
            let (former, at) = if key == setting.key { (&*other.key, other.at) } else { (key, at) };
            let line = self.line(at);
            let sentence = format!("{line}: {} and {former} are the same setting; remove {former}", setting.key);
            return self.diagnostics.unread(setting.key, sentence);
        }
        match forms::accept(setting.value_type, value) {
            Some(value) => self.found.push(Found { setting, key: key.to_owned(), at, value }),
            None => {
                let sentence = format!("{}: {key} must be {}", self.line(at), setting.value_type);
                self.diagnostics.unread(setting.key, sentence);
            }
        }
    }

    /// Each line that is no TOML, once: what follows on the same line is a consequence as a rule.
    fn syntax(&mut self, errors: &[toml::de::Error]) -> Vec<(&'static Setting, Value)> {
        let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error)).collect();
        errors.sort_by_key(|(span, _)| span.start);
        let mut lines = Vec::new();
        for (span, error) in errors {
            let line = self.line(span.start);
            if lines.contains(&line) {
                continue;
            }
            let what = error.message().replace('\n', ", ");
            // Only the name of a key is known to be no secret.
            let key = what.contains("duplicate key").then(|| self.text.get(span)).flatten();
            let key = key.map(|key| format!(" {}", printable(key))).unwrap_or_default();
            self.diagnostics.file_unread(format!("{line}: {what}{key}"));
            lines.push(line);
        }
        Vec::new()
    }

    fn unknown(&mut self, at: usize, table: Option<&str>, name: &str) {
        let line = self.line(at);
        let shown = printable(name);
        let sentence = match table {
            Some(table) => format!("unknown key {table}.{shown}; {}", in_table(table, name)),
            None => format!("unknown table or misplaced key {shown}; {}", outside(name)),
        };
        self.diagnostics.error(format!("{line}: {sentence}"));
    }

    /// The place in words: file and line.
    fn line(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        format!("{}, line {}", self.file.display(), before.matches('\n').count() + 1)
    }
}

/// Where a key begins, and the table that is its value.
fn place<'a>(places: &'a DeTable<'_>, name: &str) -> Option<(usize, Option<&'a DeTable<'a>>)> {
    let (key, value) = places.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value.get_ref().as_table()))
}

/// What a key was meant to be that its table does not have: a name of the table, or of those below it, that is near, a setting
/// of this name or variable elsewhere, or anything the table has.
fn in_table(table: &str, name: &str) -> String {
    let (here, below) = (|setting: &&Setting| setting.path().0 == table, format!("{table}."));
    let name_of = |setting: &'static Setting| setting.path().1;
    let near = |candidates: &mut dyn Iterator<Item = &'static Setting>| {
        let candidates: Vec<_> = candidates.collect();
        let near = nearest(&name.to_lowercase(), candidates.iter().map(|setting| name_of(setting)), tolerance(name))?;
        candidates.into_iter().find(|setting| name_of(setting) == near).map(|setting| setting.key)
    };
    let is_below = |setting: &&Setting| setting.key.starts_with(&below);
    if let Some(key) = near(&mut all().filter(here)).or_else(|| near(&mut all().filter(is_below))) {
        return format!("did you mean {key}?");
    }
    match elsewhere(name) {
        Some(keys) => format!("did you mean {keys}?"),
        None => {
            let mut held: Vec<String> = all().filter(here).map(|setting| name_of(setting).to_owned()).collect();
            held.extend(
                all()
                    .filter_map(|setting| setting.path().0.strip_prefix(&below))
                    .map(|name| format!("[{table}.{name}]")),
            );
            held.dedup();
            format!("[{table}] holds {}", held.join(", "))
        }
    }
}

/// What a name outside of the tables was meant to be.
fn outside(name: &str) -> String {
    let mut tables: Vec<_> = all().filter_map(|setting| setting.key.split('.').next()).collect();
    tables.dedup();
    if let Some(keys) = elsewhere(name) {
        return format!("did you mean {keys}?");
    }
    match nearest(&name.to_lowercase(), tables.iter().copied(), tolerance(name)) {
        Some(table) => format!("did you mean [{table}]?"),
        None => format!("the tables are {}", tables.join(", ")),
    }
}

/// The settings that have this name in some table, or this variable.
fn elsewhere(name: &str) -> Option<String> {
    let is_meant = |setting: &&Setting| setting.path().1 == name || setting.env == Some(name);
    let keys: Vec<_> = all().filter(is_meant).map(|setting| setting.key).collect();
    (!keys.is_empty()).then(|| keys.join(" or "))
}

/// A name as one line of text.
fn printable(name: &str) -> String {
    if name.contains(char::is_control) { name.escape_debug().to_string() } else { name.to_owned() }
}
