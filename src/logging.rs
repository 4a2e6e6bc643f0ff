//! The log's root: JSON lines for machines, text for a terminal.

use serde::{Deserialize, Serialize};

/// The `[log]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `LOG_LEVEL`: `trace|debug|info|warning|error|critical`, any case.
    pub level: String,
    /// `LOG_FORMAT`.
    pub format: Format,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Json }
    }
}
