//! The values that a setting accepts.

use std::fmt;
use std::net::SocketAddr;

use toml::Value;

use super::postgres_url::PostgresUrl;
use ingest_core::http::networks;

/// What a setting accepts. `Display` is the accepted form in words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueType {
    /// A whole number within bounds, both included.
    Whole {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// On or off.
    Flag,
    /// One word of a list.
    Choice(&'static [&'static str]),
    /// A log level.
    Level,
    /// An IP address and a port.
    Address,
    /// A path of the file system.
    Path,
    /// Any text that is not empty.
    Text,
    /// The name of an InfluxDB 3 database.
    Database,
    /// Text that must never be shown.
    Secret,
    /// One or several NATS servers; may hold credentials.
    NatsUrl,
    /// A PostgreSQL server and database; may hold credentials.
    PostgresUrl,
    /// IP addresses and networks.
    Networks,
    /// An HTTP server, without credentials: they have a setting of their own.
    HttpUrl,
}

impl ValueType {
    /// Reads a variable's text. `None` where it has another form.
    pub(crate) fn parse(self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        let value = match self {
            ValueType::Whole { .. } => Value::Integer(trimmed.parse().ok()?),
            ValueType::Flag => match trimmed.to_ascii_lowercase().as_str() {
                "1" | "true" => Value::Boolean(true),
                "0" | "false" => Value::Boolean(false),
                _ => return None,
            },
            ValueType::Choice(_) | ValueType::Level => Value::String(trimmed.to_ascii_lowercase()),
            ValueType::Secret => Value::String(text.to_owned()),
            _ => Value::String(trimmed.to_owned()),
        };
        self.accepts(&value).then_some(value)
    }

    /// Whether a value, from the file or parsed, is one of the accepted.
    pub(crate) fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (ValueType::Whole { min, max }, Value::Integer(number)) => (min..=max).contains(number),
            (ValueType::Flag, Value::Boolean(_)) | (ValueType::Secret, Value::String(_)) => true,
            (ValueType::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
            (ValueType::Level, Value::String(text)) => text.parse::<slog::Level>().is_ok(),
            (ValueType::Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (ValueType::Path | ValueType::Text, Value::String(text)) => !text.is_empty(),
            (ValueType::Database, Value::String(text)) => {
                text.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && text.len() <= 511
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            }
            (ValueType::NatsUrl, Value::String(text)) => text.split(',').all(|server| {
                server.trim().parse::<async_nats::ServerAddr>().is_ok_and(|server| !server.host().is_empty())
            }),
            (ValueType::PostgresUrl, Value::String(text)) => PostgresUrl::parse(text).is_some(),
            (ValueType::Networks, Value::String(text)) => networks(text).is_ok_and(|list| !list.is_empty()),
            (ValueType::HttpUrl, Value::String(text)) => text.parse::<awc::http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !text.contains(['@', '?'])
            }),
            _ => false,
        }
    }

    /// Whether it may be given as the name of a file that holds it (`NAME_FILE`).
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, ValueType::Secret | ValueType::NatsUrl | ValueType::PostgresUrl)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueType::Whole { min, max: i64::MAX } => write!(f, "a whole number, at least {min}"),
            ValueType::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            ValueType::Flag => f.write_str("true or false (1 or 0 in the environment)"),
            ValueType::Choice(words) => f.write_str(&words.join(" or ")),
            ValueType::Level => f.write_str("trace, debug, info, warning, error or critical"),
            ValueType::Address => f.write_str("an IP address and a port like 0.0.0.0:8080"),
            ValueType::Path => f.write_str("a path"),
            ValueType::Secret | ValueType::Text => f.write_str("text"),
            ValueType::Database => f.write_str("ASCII letters, digits, _ and -, the first a letter or digit"),
            ValueType::NatsUrl => f.write_str("one or several URLs like nats://host:4222, separated by commas"),
            ValueType::PostgresUrl => f.write_str("a URL like postgres://user:password@host:5432/database, with sslmode=disable, require, verify-ca or verify-full (prefer and allow would fall back to plain text)"),
            ValueType::Networks => f.write_str("IP addresses and networks like 10.0.0.0/8, separated by commas"),
            ValueType::HttpUrl => f.write_str("a URL like http://host:8181, without credentials or parameters"),
        }
    }
}

/// A whole number within bounds, both included.
pub(crate) const fn whole(min: i64, max: i64) -> ValueType {
    ValueType::Whole { min, max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_what_it_says_and_nothing_else() {
        let cases: &[(ValueType, &[&str], &[&str])] = &[
            (
                ValueType::Whole { min: 1, max: 10 },
                &["1", " 10 ", "7"],
                &["0", "11", "1.0", "ten", "1e1", "-1", "0x1", "1_0"],
            ),
            (ValueType::Flag, &["0", "1", "true", "False"], &["yes", "on", "2", "t"]),
            (ValueType::Choice(&["json", "text"]), &["json", "TEXT"], &["xml", "js"]),
            (ValueType::Level, &["INFO", "warning", "warn", "Debug"], &["loud", "5"]),
            (ValueType::Address, &["0.0.0.0:8080", "[::1]:0"], &["8080", ":8080", "localhost:8080", "1.2.3.4"]),
            (ValueType::NatsUrl, &["nats://a:4222", "a", "nats://u:p@a,tls://b:1"], &["http://a", "nats://", "a,,b"]),
            (
                ValueType::PostgresUrl,
                &["postgres://u:p@h/db", "postgresql://h", "postgres://h/db?sslmode=verify-full&sslrootcert=/ca.pem"],
                &["host=h", "mysql://h/db", "h", "postgres:///db", "postgres://h/db?sslmode=prefer"],
            ),
            (ValueType::Text, &["my org", "b_{tenant_id}"], &["", " "]),
            (ValueType::Database, &["telemetry", "0a_-B"], &["", "_a", "a b", "a/b", "é"]),
            (ValueType::Networks, &["10.0.0.1", "10.0.0.0/8, ::1"], &["", ",", "10.0.0.0/33", "proxy", "10.0.0.1 ::1"]),
            (ValueType::HttpUrl, &["http://h:8181", "https://h/x"], &["h:8181", "ftp://h", "http://", "http://u:p@h"]),
        ];
        for (form, good, bad) in cases {
            good.iter().for_each(|text| assert!(form.parse(text).is_some(), "{form}: {text}"));
            bad.iter().for_each(|text| assert!(form.parse(text).is_none(), "{form}: {text}"));
        }
    }
}
