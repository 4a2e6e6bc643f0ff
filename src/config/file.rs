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
        Ok(text) => Document { file, text: &text, diagnostics }.read(),
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
        let mut found = Vec::new();
        for (table, settings) in tables {
            let start = places.get_ref().iter().find(|(key, _)| key.get_ref() == table.as_str());
            let at = start.map_or(0, |(key, _)| key.span().start);
            let Value::Table(settings) = settings else {
                self.unknown(at, None, &table);
                continue;
            };
            if !all().any(|setting| setting.path().0 == table) {
                self.unknown(at, None, &table);
                continue;
            }
            let places = start.and_then(|(_, value)| value.get_ref().as_table());
            for (name, value) in settings {
                let place = places.and_then(|places| places.iter().find(|(key, _)| key.get_ref() == name.as_str()));
                let at = place.map_or(at, |(key, _)| key.span().start);
                let Some(setting) = settings::find(&format!("{table}.{name}")) else {
                    self.unknown(at, Some(&table), &name);
                    continue;
                };
                match forms::accept(setting.value_type, value) {
                    Some(value) => found.push((setting, value)),
                    None => {
                        let sentence = format!("{}: {} must be {}", self.line(at), setting.key, setting.value_type);
                        self.diagnostics.unread(setting.key, sentence);
                    }
                }
            }
        }
        found
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

/// What a key was meant to be that its table does not have: a name of the table that is near, a setting of this name or
/// variable elsewhere, or anything the table has.
fn in_table(table: &str, name: &str) -> String {
    let names = || all().filter(|setting| setting.path().0 == table).map(|setting| setting.path().1);
    if let Some(near) = nearest(&name.to_lowercase(), names(), tolerance(name)) {
        return format!("did you mean {table}.{near}?");
    }
    match elsewhere(name) {
        Some(keys) => format!("did you mean {keys}?"),
        None => format!("[{table}] holds {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// What a name outside of the tables was meant to be.
fn outside(name: &str) -> String {
    let mut tables: Vec<_> = all().map(|setting| setting.path().0).collect();
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
