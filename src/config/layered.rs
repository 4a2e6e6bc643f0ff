//! The configuration while it is gathered: explicit values, each with where it came from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::diagnostics::Diagnostics;
use super::env::Env;
use super::settings::{RETIRED, all};
use super::source::Source;
use super::tables::Config;
use super::url::PgParts;
use super::{file, forms};
use crate::runtime::value_type::ValueType;

/// The setting that `PG_*` are parts of.
const PG_URL: &str = "postgres.url";
const PORT: ValueType = ValueType::Whole { min: 1, max: 65_535 };

/// Explicit values by key.
#[derive(Debug, Default)]
pub(super) struct LayeredConfig {
    values: BTreeMap<&'static str, (Value, Source)>,
}

impl LayeredConfig {
    /// Takes the file's values. Without a path the default file is read, if there is one.
    pub(super) fn read_file(&mut self, named: Option<&Path>, diagnostics: &mut Diagnostics) {
        let source = Source::File(file::path(named).to_owned());
        for (setting, value) in file::read(named, diagnostics) {
            self.values.insert(setting.key, (value, source.clone()));
        }
    }

    /// Takes the variables' values, over those of the file.
    pub(super) fn read_env(&mut self, env: &Env, diagnostics: &mut Diagnostics) {
        for setting in all() {
            let Some(name) = setting.env else { continue };
            let read = if setting.value_type.is_secret() {
                env.secret(name)
            } else {
                env.get(name).map(|text| text.map(|text| (text.to_owned(), name.to_owned())))
            };
            match read {
                Ok(None) => {}
                Ok(Some((text, name))) => match forms::parse(setting.value_type, &text) {
                    Some(value) => drop(self.values.insert(setting.key, (value, Source::Env(name)))),
                    None => diagnostics.unread(setting.key, refused(&name, setting.value_type)),
                },
                Err(sentence) => diagnostics.unread(setting.key, sentence),
            }
        }
        self.read_pg_parts(env, diagnostics);

        for (name, form, notice) in RETIRED {
            match env.get(name) {
                Ok(None) => {}
                Ok(Some(text)) if form.parse(text).is_some() => diagnostics.notices.push(format!("{name} {notice}")),
                Ok(Some(_)) => diagnostics.error(refused(name, *form)),
                Err(sentence) => diagnostics.error(sentence),
            }
        }
    }

    /// `PG_*` replace their parts of the URL in force, the file's or the default; `DATABASE_URL` stands above them.
    fn read_pg_parts(&mut self, env: &Env, diagnostics: &mut Diagnostics) {
        let (mut names, mut is_good) = (Vec::new(), true);
        let mut read = |name: &str, text: Result<Option<(String, String)>, String>| match text {
            Ok(text) => text.map(|(text, name)| {
                names.push(name);
                text
            }),
            Err(sentence) => {
                names.push(name.to_owned());
                is_good = false;
                diagnostics.unread(PG_URL, sentence);
                None
            }
        };
        let mut plain =
            |name: &str| read(name, env.get(name).map(|text| text.map(|text| (text.to_owned(), name.to_owned()))));
        let (host, port, db, user) = (plain("PG_HOST"), plain("PG_PORT"), plain("PG_DB"), plain("PG_USER"));
        let password = read("PG_PASS", env.secret("PG_PASS"));
        let port = match port.map(|port| PORT.parse(&port)) {
            None => None,
            Some(Some(Value::Integer(port))) => u16::try_from(port).ok(),
            Some(_) => {
                is_good = false;
                diagnostics.unread(PG_URL, refused("PG_PORT", PORT));
                None
            }
        };
        if names.is_empty() {
            return;
        }
        let names = names.join(", ");
        if let Some((_, Source::Env(url))) = self.values.get(PG_URL) {
            return diagnostics
                .notices
                .push(format!("{url} is set, so {names} have no effect; set the one or the other"));
        }
        if !is_good {
            return;
        }

        let default = Config::default().postgres.url;
        let base = match self.values.get(PG_URL) {
            Some((Value::String(url), _)) => url,
            _ => &*default.expose(),
        };
        let url = Value::String(PgParts { host, port, db, user, password }.replace_in(base));
        if ValueType::PostgresUrl.accepts(&url) {
            self.values.insert(PG_URL, (url, Source::Env(names)));
        } else {
            diagnostics.unread(PG_URL, format!("{names} and {PG_URL} do not make {}", ValueType::PostgresUrl));
        }
    }

    /// The whole configuration, and where its explicit values came from.
    pub(super) fn build(self, diagnostics: &mut Diagnostics) -> (Config, BTreeMap<&'static str, Source>) {
        let mut tables = Table::new();
        let mut sources = BTreeMap::new();
        for (key, (value, source)) in self.values {
            insert(&mut tables, key, value);
            sources.insert(key, source);
        }
        let config = Config::deserialize(tables).unwrap_or_else(|error| {
            diagnostics.error(error.message().replace('\n', ", "));
            Config::default()
        });
        (config, sources)
    }
}

/// Puts a value where its key says: tables, and the name in the last of them.
fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((name, below)) => {
            let inner = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, below, value);
            }
        }
    }
}

/// Never with the value: it may be a secret in the wrong place.
fn refused(name: &str, form: ValueType) -> String {
    format!("{name} must be {form}")
}
