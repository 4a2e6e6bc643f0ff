//! Every setting by name: its key in the file, its environment variable, and the values it accepts.
//!
//! A new setting is a field in its room's `Config` (with a default and the reason for it) and one line here.

use std::fmt;
use std::net::SocketAddr;

use toml::Value;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Table and key in the file, with a dot between.
    pub key: &'static str,
    /// The environment variable that overrides the file, where there is one.
    pub env: Option<&'static str>,
    /// What it accepts.
    pub form: Form,
}

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    known("nats.url", "NATS_URL", Form::NatsUrl),
    inner("nats.window", whole(1, 1_000_000)),
    inner("nats.window_bytes", whole(1_048_576, i64::MAX)),
    inner("nats.ack_wait_secs", whole(1, 3_600)),
    inner("nats.max_ack_pending", whole(1, 10_000_000)),
    inner("nats.hold_secs", whole(1, 86_400)),
    inner("nats.nak_delay_ms", whole(1, 3_600_000)),
    inner("nats.nak_delay_max_ms", whole(1, 3_600_000)),
    inner("nats.start_wait_secs", whole(1, 3_600)),
    known("validate.workers", "INGEST_WORKER_COUNT", whole(1, 256)),
    known("validate.cache_ttl_secs", "AUTH_CACHE_TTL_SECONDS", whole(1, 86_400)),
    known("validate.cache_max_size", "AUTH_CACHE_MAX_SIZE", whole(1, 100_000_000)),
    known("validate.metric_map_ttl_secs", "METRIC_MAP_CACHE_TTL", whole(1, 86_400)),
    inner("validate.negative_ttl_secs", whole(1, 86_400)),
    inner("validate.max_staleness_secs", whole(1, 86_400)),
    known("validate.bucket_ttl_secs", "BUCKET_TTL_SECONDS", whole(1, 604_800)),
    known("validate.require_token", "REQUIRE_TOKEN", Form::Flag),
    known("validate.cert_auth_enabled", "CERT_AUTH_ENABLED", Form::Flag),
    known("registry.auto_provision", "AUTO_PROVISION", Form::Flag),
    known("registry.settings_poll_secs", "SETTINGS_POLL_SECONDS", whole(1, 86_400)),
    inner("registry.lookup_batch", whole(1, 100_000)),
    known("postgres.url", "DATABASE_URL", Form::PostgresUrl),
    known("postgres.pool_min", "PG_POOL_MIN", whole(0, 1_000)),
    known("postgres.pool_max", "PG_POOL_MAX", whole(1, 1_000)),
    known("postgres.batch_size", "BATCH_SIZE", whole(1, 100_000)),
    known("postgres.flush_interval_ms", "FLUSH_INTERVAL_MS", whole(1, 60_000)),
    inner("postgres.writers", whole(1, 64)),
    inner("postgres.transaction_timeout_secs", whole(1, 600)),
    known("postgres.auto_migrate", "AUTO_MIGRATE", Form::Flag),
    known("postgres.counters_enabled", "COUNTERS_ENABLED", Form::Flag),
    inner("postgres.quarantine_cap_per_minute", whole(0, 1_000_000_000)),
    inner("postgres.start_wait_secs", whole(1, 3_600)),
    known("influx.write_enabled", "INFLUXDB_WRITE_ENABLED", Form::Flag),
    known("influx.url", "INFLUXDB_URL", Form::HttpUrl),
    known("influx.token", "INFLUXDB_TOKEN", Form::Secret),
    known("influx.write_policy", "INFLUXDB_WRITE_POLICY", Form::Choice(&["best_effort", "required"])),
    known("influx.batch_size", "INFLUX_BATCH_SIZE", whole(1, 100_000)),
    known("influx.flush_interval_ms", "INFLUX_FLUSH_INTERVAL_MS", whole(1, 60_000)),
    inner("influx.buffer_lines", whole(1, 100_000_000)),
    inner("influx.buffer_total_bytes", whole(1, i64::MAX)),
    inner("influx.max_in_flight", whole(1, 1_000)),
    inner("influx.threads", whole(1, 64)),
    inner("influx.hold_lines", whole(1, 100_000_000)),
    inner("influx.hold_secs", whole(1, 86_400)),
    inner("influx.retry_delay_ms", whole(1, 60_000)),
    inner("influx.retry_delay_max_ms", whole(1, 60_000)),
    inner("influx.breaker_failures", whole(1, 1_000)),
    inner("influx.idle_secs", whole(1, 86_400)),
    inner("influx.drain_secs", whole(1, 600)),
    inner("influx.request_timeout_secs", whole(1, 600)),
    inner("influx.data_dir", Form::Path),
    inner("influx.file_rotate_bytes", whole(1, i64::MAX)),
    inner("routes.publish_timeout_secs", whole(1, 60)),
    inner("routes.max_in_flight", whole(1, 100_000)),
    inner("routes.retry_secs", whole(1, 600)),
    inner("routes.duplicate_window_secs", whole(1, 86_400)),
    known("http.bind", "HTTP_BIND", Form::Address),
    known("log.level", "LOG_LEVEL", Form::Level),
    known("log.format", "LOG_FORMAT", Form::Choice(&["json", "text"])),
    known("supervisor.drain_timeout_secs", "DRAIN_TIMEOUT_SECONDS", whole(1, 3_600)),
    known("supervisor.log_stats_every_secs", "LOG_STATS_EVERY_SECONDS", whole(1, 86_400)),
    inner("supervisor.restart_budget", whole(0, 1_000_000)),
    inner("supervisor.restart_window_secs", whole(1, 86_400)),
    inner("supervisor.stuck_after_secs", whole(1, 86_400)),
];

/// Variables that operators of the system know and that have nothing left to set: checked, then said to be without effect.
pub const RETIRED: &[(&str, Form, &str)] = &[(
    "METRIC_MAP_CACHE_SIZE",
    whole(0, i64::MAX),
    "has no effect: key maps are held with their devices, as many as AUTH_CACHE_MAX_SIZE says",
)];

const fn known(key: &'static str, env: &'static str, form: Form) -> Setting {
    Setting { key, env: Some(env), form }
}

const fn inner(key: &'static str, form: Form) -> Setting {
    Setting { key, env: None, form }
}

const fn whole(min: i64, max: i64) -> Form {
    Form::Whole { min, max }
}

/// The setting with this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// What a setting accepts. `Display` is the accepted form in words.
#[derive(Clone, Copy, Debug)]
pub enum Form {
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
    /// Text that must never be shown.
    Secret,
    /// One or several NATS servers; may hold credentials.
    NatsUrl,
    /// A PostgreSQL server and database; may hold credentials.
    PostgresUrl,
    /// An HTTP server, without credentials: they have a setting of their own.
    HttpUrl,
}

impl Form {
    /// Reads a variable's text. `None` where it has another form.
    pub fn parse(self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        let value = match self {
            Form::Whole { .. } => Value::Integer(trimmed.parse().ok()?),
            Form::Flag => match trimmed.to_ascii_lowercase().as_str() {
                "1" | "true" => Value::Boolean(true),
                "0" | "false" => Value::Boolean(false),
                _ => return None,
            },
            Form::Choice(_) | Form::Level => Value::String(trimmed.to_ascii_lowercase()),
            Form::Secret => Value::String(text.to_owned()),
            _ => Value::String(trimmed.to_owned()),
        };
        self.accepts(&value).then_some(value)
    }

    /// Whether a value, from the file or parsed, is one of the accepted.
    pub fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Form::Whole { min, max }, Value::Integer(number)) => (min..=max).contains(number),
            (Form::Flag, Value::Boolean(_)) | (Form::Secret, Value::String(_)) => true,
            (Form::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
            (Form::Level, Value::String(text)) => text.parse::<slog::Level>().is_ok(),
            (Form::Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (Form::Path, Value::String(text)) => !text.is_empty(),
            (Form::NatsUrl, Value::String(text)) => text.split(',').all(|server| {
                server.trim().parse::<async_nats::ServerAddr>().is_ok_and(|server| !server.host().is_empty())
            }),
            (Form::PostgresUrl, Value::String(text)) => {
                (text.starts_with("postgres://") || text.starts_with("postgresql://"))
                    && text.parse::<tokio_postgres::Config>().is_ok_and(|config| !config.get_hosts().is_empty())
            }
            (Form::HttpUrl, Value::String(text)) => text.parse::<awc::http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !text.contains(['@', '?'])
            }),
            _ => false,
        }
    }

    /// Whether it may be given as the name of a file that holds it (`NAME_FILE`).
    pub fn is_secret(self) -> bool {
        matches!(self, Form::Secret | Form::NatsUrl | Form::PostgresUrl)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Whole { min, max: i64::MAX } => write!(f, "a whole number, at least {min}"),
            Form::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Form::Flag => f.write_str("true or false (1 or 0 in the environment)"),
            Form::Choice(words) => f.write_str(&words.join(" or ")),
            Form::Level => f.write_str("trace, debug, info, warning, error or critical"),
            Form::Address => f.write_str("an IP address and a port like 0.0.0.0:8080"),
            Form::Path => f.write_str("a path"),
            Form::Secret => f.write_str("text"),
            Form::NatsUrl => f.write_str("one or several URLs like nats://host:4222, separated by commas"),
            Form::PostgresUrl => f.write_str("a URL like postgres://user:password@host:5432/database"),
            Form::HttpUrl => f.write_str("a URL like http://host:8181, without credentials or parameters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_takes_what_it_says_and_nothing_else() {
        let cases: &[(Form, &[&str], &[&str])] = &[
            (whole(1, 10), &["1", " 10 ", "7"], &["0", "11", "1.0", "ten", "1e1", "-1", "0x1", "1_0"]),
            (Form::Flag, &["0", "1", "true", "False"], &["yes", "on", "2", "t"]),
            (Form::Choice(&["json", "text"]), &["json", "TEXT"], &["xml", "js"]),
            (Form::Level, &["INFO", "warning", "warn", "Debug"], &["loud", "5"]),
            (Form::Address, &["0.0.0.0:8080", "[::1]:0"], &["8080", ":8080", "localhost:8080", "1.2.3.4"]),
            (Form::NatsUrl, &["nats://a:4222", "a", "nats://u:p@a,tls://b:1"], &["http://a", "nats://", "a,,b"]),
            (
                Form::PostgresUrl,
                &["postgres://u:p@h/db", "postgresql://h"],
                &["host=h", "mysql://h/db", "h", "postgres:///db"],
            ),
            (Form::HttpUrl, &["http://h:8181", "https://h/x"], &["h:8181", "ftp://h", "http://", "http://u:p@h"]),
        ];
        for (form, good, bad) in cases {
            good.iter().for_each(|text| assert!(form.parse(text).is_some(), "{form}: {text}"));
            bad.iter().for_each(|text| assert!(form.parse(text).is_none(), "{form}: {text}"));
        }
    }

    #[test]
    fn no_name_is_used_twice() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            for other in &SETTINGS[index + 1..] {
                assert_ne!(setting.key, other.key);
                assert!(setting.env.is_none() || setting.env != other.env, "{:?}", setting.env);
            }
        }
    }
}
