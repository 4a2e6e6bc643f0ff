//! The effective configuration as `check-config` prints it: TOML, without secrets, each value with its source.

use std::fmt::{self, Write};

use toml::{Table, Value};

use super::load::Loaded;
use super::settings::all;
use super::tables::Config;
use super::url;
use crate::runtime::setting::Setting;
use crate::runtime::value_type::ValueType;

impl Loaded {
    /// The effective configuration as TOML, redacted, each value with its source in a comment.
    ///
    /// # Errors
    /// None in practice: the configuration's types all have a TOML form, and writing to a `String` does not fail.
    pub(crate) fn show(&self) -> Result<String, fmt::Error> {
        let values = Table::try_from(&self.config).map_err(|_| fmt::Error)?;
        let mut text = String::new();
        let mut table = "";
        for setting in all() {
            let (its_table, name) = setting.path();
            if its_table != table {
                let gap = if table.is_empty() { "" } else { "\n" };
                table = its_table;
                writeln!(text, "{gap}[{table}]")?;
            }
            let source = self.source(setting.key);
            match shown(&self.config, &values, setting) {
                Some(value) => writeln!(text, "{name} = {value}  # {source}")?,
                None => writeln!(text, "# {name} is not set")?,
            }
        }
        Ok(text)
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
        None => {
            let (table, name) = setting.path();
            values.get(table)?.get(name).cloned()
        }
    }
}
