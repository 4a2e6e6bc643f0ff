//! The effective configuration as `check-config` prints it: without secrets, each value with its source.

use std::fmt::{self, Write};

use serde_json::json;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::load::{Gathered, Loaded};
use super::settings::all;
use super::source::Source;
use super::tables::Config;
use super::url;
use crate::runtime::setting::Setting;
use crate::runtime::value_type::ValueType;

/// Letters of the hash that are shown: enough to tell configurations apart.
const HASH_LETTERS: usize = 12;

/// Which settings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All.
    All,
    /// Those that have a source, or another value than the default.
    Changed,
}

/// A setting as it is shown.
struct Shown {
    setting: &'static Setting,
    /// `None` where nothing is set.
    value: Option<Value>,
    source: Source,
}

impl Loaded {
    /// The effective configuration as TOML, redacted, each value with its source in a comment.
    ///
    /// # Errors
    /// None in practice: the configuration's types all have a TOML form, and writing to a `String` does not fail.
    pub(crate) fn show(&self, selection: Selection) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let mut table = "";
        for Shown { setting, value, source } in self.selected(selection)? {
            let (its_table, name) = setting.path();
            if its_table != table {
                let gap = if table.is_empty() { "" } else { "\n" };
                table = its_table;
                writeln!(text, "{gap}[{table}]")?;
            }
            match value {
                Some(value) => writeln!(text, "{name} = {value}  # {source}")?,
                None => writeln!(text, "# {name} is not set")?,
            }
        }
        Ok(text)
    }

    /// The first letters of SHA-256 over the lines `key = value` as they are shown, in the order of `check-config`: the
    /// same for two nodes with the same settings, wherever those come from. Secrets count as set or not set.
    ///
    /// # Errors
    /// As [`Loaded::show`].
    pub(crate) fn hash(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        for Shown { setting, value, .. } in self.selected(Selection::All)? {
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            writeln!(text, "{} = {value}", setting.key)?;
        }
        let digest = Sha256::digest(text);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(hex.chars().take(HASH_LETTERS).collect())
    }

    fn selected(&self, selection: Selection) -> Result<Vec<Shown>, fmt::Error> {
        let values = Table::try_from(&self.config).map_err(|_| fmt::Error)?;
        let default = Config::default();
        let defaults = Table::try_from(&default).map_err(|_| fmt::Error)?;
        let every = all().map(|setting| Shown {
            setting,
            value: shown(&self.config, &values, setting),
            source: self.source(setting.key),
        });
        let is_selected = |one: &Shown| {
            selection == Selection::All
                || one.source != Source::Default
                || one.value != shown(&default, &defaults, one.setting)
        };
        Ok(every.filter(is_selected).collect())
    }
}

impl Gathered {
    /// Everything as one JSON object: `settings` with key, variable, value and source, without those whose value could not
    /// be read; `notices`; `errors`.
    ///
    /// # Errors
    /// As [`Loaded::show`].
    pub(crate) fn to_json(&self, selection: Selection) -> Result<serde_json::Value, fmt::Error> {
        let shown = self.loaded.selected(selection)?;
        let readable = shown.into_iter().filter(|one| self.diagnostics.is_value_known(one.setting.key));
        let settings: Vec<_> = readable
            .map(|Shown { setting, value, source }| {
                json!({"key": setting.key, "env": setting.env, "value": value, "source": source.to_string()})
            })
            .collect();
        Ok(json!({"settings": settings, "notices": self.loaded.notices, "errors": self.diagnostics.errors}))
    }
}

/// A setting's value as it may be shown. Secrets arrive hidden already ([`crate::runtime::secret::Secret`] serializes as `***`);
/// of URLs everything but the credentials is worth seeing.
fn shown(config: &Config, values: &Table, setting: &Setting) -> Option<Value> {
    let url = match setting.value_type {
        ValueType::NatsUrl => Some(config.nats.url.expose()),
        ValueType::PostgresUrl => Some(config.postgres.url.expose()),
        _ => None,
    };
    match url {
        Some(url) => Some(Value::String(url::masked(&url))),
        None => setting.value_in(values).cloned(),
    }
}
