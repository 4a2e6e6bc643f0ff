//! The configuration while it is gathered: explicit values, each with where it came from.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::Deserialize;
use toml::{Table, Value};

use super::error::ConfigError;
use super::settings::{self, RETIRED, all};
use super::tables::Config;
use super::url::PgParts;
use crate::runtime::value_type::ValueType;

/// The file that is read when none is named; it need not exist.
pub(crate) const DEFAULT_PATH: &str = "config/ingest-node.toml";

/// The environment variables, injected so that tests need not touch the process's own.
#[derive(Debug, Default)]
pub(crate) struct Env(HashMap<String, OsString>);

impl Env {
    /// The process's variables.
    pub(crate) fn process() -> Self {
        // A name that is not UTF-8 is none of ours.
        Self(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// A variable's text. An empty one counts as not set: that is how compose files leave a variable out.
    fn get(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
                None => Err(ConfigError::new(format!("{name} is not UTF-8 text"))),
            },
        }
    }

    /// A secret's text, from `NAME` or from the file that `NAME_FILE` names, and which of the two it was.
    fn secret(&self, name: &str) -> Result<Option<(String, String)>, ConfigError> {
        let file_name = format!("{name}_FILE");
        match (self.get(name)?, self.get(&file_name)?) {
            (Some(_), Some(_)) => {
                Err(ConfigError::new(format!("{name} and {file_name} are both set; set one of them")))
            }
            (Some(text), None) => Ok(Some((text.to_owned(), name.to_owned()))),
            (None, Some(path)) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| ConfigError::new(format!("{file_name} can't be read from {path}: {error}")))?;
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    return Err(ConfigError::new(format!("{file_name} names an empty file: {path}")));
                }
                Ok(Some((text.to_owned(), file_name)))
            }
            (None, None) => Ok(None),
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// The program.
    #[default]
    Default,
    /// The file.
    File(PathBuf),
    /// The environment; the names of the variables.
    Env(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Env(names) => write!(f, "env {names}"),
        }
    }
}

/// Explicit values by key.
#[derive(Debug, Default)]
pub(super) struct LayeredConfig {
    values: BTreeMap<&'static str, (Value, Source)>,
}

impl LayeredConfig {
    /// Takes the file's values. Without a path the default file is read, if there is one.
    pub(super) fn read_file(&mut self, path: Option<&Path>) -> Result<(), ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ConfigError::new(format!("{} can't be read: {error}", file.display()))),
        };
        let tables: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ConfigError::new(format!("{}, line {line}: {}", file.display(), error.message().replace('\n', ", ")))
        })?;
        for (table, settings) in tables {
            let Value::Table(settings) = settings else {
                return Err(unknown(file, &table));
            };
            if !all().any(|setting| setting.path().0 == table) {
                return Err(unknown(file, &table));
            }
            for (name, value) in settings {
                let key = format!("{table}.{name}");
                let setting = settings::find(&key).ok_or_else(|| unknown(file, &key))?;
                if !setting.value_type.accepts(&value) {
                    let value_type = setting.value_type;
                    return Err(ConfigError::new(format!("{}: {key} must be {value_type}", file.display())));
                }
                self.values.insert(setting.key, (value, Source::File(file.to_owned())));
            }
        }
        Ok(())
    }

    /// Takes the variables' values, over those of the file. What is to be said about variables without effect comes back.
    pub(super) fn read_env(&mut self, env: &Env) -> Result<Vec<String>, ConfigError> {
        for setting in all() {
            let Some(name) = setting.env else { continue };
            let found = if setting.value_type.is_secret() {
                env.secret(name)?
            } else {
                env.get(name)?.map(|text| (text.to_owned(), name.to_owned()))
            };
            if let Some((text, name)) = found {
                let value = setting.value_type.parse(&text).ok_or_else(|| refused(&name, setting.value_type))?;
                self.values.insert(setting.key, (value, Source::Env(name)));
            }
        }
        self.read_pg_parts(env)?;

        let mut notices = Vec::new();
        for (name, form, notice) in RETIRED {
            if let Some(text) = env.get(name)? {
                form.parse(text).ok_or_else(|| refused(name, *form))?;
                notices.push(format!("{name} {notice}"));
            }
        }
        Ok(notices)
    }

    /// `PG_*` replace their parts of the URL in force, the file's or the default; `DATABASE_URL` stands above them.
    fn read_pg_parts(&mut self, env: &Env) -> Result<(), ConfigError> {
        const URL: &str = "postgres.url";
        const PORT: ValueType = ValueType::Whole { min: 1, max: 65_535 };
        let mut names = Vec::new();
        let mut text = |name: &str| -> Result<Option<String>, ConfigError> {
            let text = env.get(name)?.map(str::to_owned);
            names.extend(text.is_some().then(|| name.to_owned()));
            Ok(text)
        };
        let (host, port, db, user) = (text("PG_HOST")?, text("PG_PORT")?, text("PG_DB")?, text("PG_USER")?);
        let port = port
            .map(|port| match PORT.parse(&port) {
                Some(Value::Integer(port)) => u16::try_from(port).map_err(|_| refused("PG_PORT", PORT)),
                _ => Err(refused("PG_PORT", PORT)),
            })
            .transpose()?;
        let password = env.secret("PG_PASS")?.map(|(password, name)| {
            names.push(name);
            password
        });
        if names.is_empty() || matches!(self.values.get(URL), Some((_, Source::Env(_)))) {
            return Ok(());
        }

        let default = Config::default().postgres.url;
        let base = match self.values.get(URL) {
            Some((Value::String(url), _)) => url,
            _ => &*default.expose(),
        };
        let url = Value::String(PgParts { host, port, db, user, password }.replace_in(base));
        let names = names.join(", ");
        if !ValueType::PostgresUrl.accepts(&url) {
            return Err(ConfigError::new(format!("{names} and postgres.url do not make {}", ValueType::PostgresUrl)));
        }
        self.values.insert(URL, (url, Source::Env(names)));
        Ok(())
    }

    /// The whole configuration, and where its explicit values came from.
    pub(super) fn build(self) -> Result<(Config, BTreeMap<&'static str, Source>), ConfigError> {
        let mut tables = Table::new();
        let mut sources = BTreeMap::new();
        for (key, (value, source)) in self.values {
            if let Some((table, name)) = key.split_once('.') {
                let table = tables.entry(table).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(table) = table {
                    table.insert(name.to_owned(), value);
                }
            }
            sources.insert(key, source);
        }
        let config =
            Config::deserialize(tables).map_err(|error| ConfigError::new(error.message().replace('\n', ", ")))?;
        Ok((config, sources))
    }
}

/// Never with the value: it may be a secret in the wrong place.
fn refused(name: &str, form: ValueType) -> ConfigError {
    ConfigError::new(format!("{name} must be {form}"))
}

fn unknown(file: &Path, key: &str) -> ConfigError {
    let table = key.split_once('.').map(|(table, _)| table);
    let mut known: Vec<&str> = match table {
        Some(table) => all().filter(|s| s.path().0 == table).map(|s| s.path().1).collect(),
        None => all().map(|s| s.path().0).collect(),
    };
    known.dedup();
    let (file, known) = (file.display(), known.join(", "));
    ConfigError::new(match table {
        Some(table) => format!("{file}: unknown key {key}; [{table}] holds {known}"),
        None => format!("{file}: unknown table or misplaced key {key}; the tables are {known}"),
    })
}
