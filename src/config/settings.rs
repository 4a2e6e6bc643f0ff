//! All settings, table by table. Each is declared in its component's `config.rs` (`[log]` in `runtime/logging.rs`).

use crate::runtime::setting::Setting;
use crate::runtime::value_type::{ValueType, whole};
use crate::{gateway, http, nats, postgres, registry, runtime, sink, supervisor, validate};

/// The lists of the tables, in the order in which they are shown.
const TABLES: &[&[Setting]] = &[
    nats::config::Config::SETTINGS,
    validate::Config::SETTINGS,
    registry::Config::SETTINGS,
    postgres::Config::SETTINGS,
    sink::influx::Config::SETTINGS,
    sink::influx::config::TargetConfig::SETTINGS,
    sink::influx::config::FilesConfig::SETTINGS,
    sink::influx::config::BatchConfig::SETTINGS,
    sink::influx::config::BufferConfig::SETTINGS,
    sink::influx::config::RetryConfig::SETTINGS,
    sink::influx::config::ColumnsConfig::SETTINGS,
    sink::influx::config::OutboxConfig::SETTINGS,
    sink::routes::Config::SETTINGS,
    sink::state::Config::SETTINGS,
    sink::state::config::Silence::SETTINGS,
    postgres::retention::Config::SETTINGS,
    http::Config::SETTINGS,
    http::admin::Config::SETTINGS,
    gateway::Config::SETTINGS,
    gateway::mqtt::Config::SETTINGS,
    gateway::http::Config::SETTINGS,
    runtime::logging::Config::SETTINGS,
    supervisor::Config::SETTINGS,
];

/// All settings, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    TABLES.iter().copied().flatten()
}

/// Variables that operators of the system know and that have nothing left to set: checked, then said to be without effect.
pub(super) const RETIRED: &[(&str, ValueType, &str)] = &[(
    "METRIC_MAP_CACHE_SIZE",
    whole(0, i64::MAX),
    "has no effect: key maps are held with their devices, as many as AUTH_CACHE_MAX_SIZE says",
)];

/// Settings that were in `[influx]` itself before it had tables below it: the table, and the names there and before.
const MOVED: [(&str, &[&str]); 7] = [
    (
        "influx.target",
        &[
            "api",
            "url",
            "token",
            "ca_file",
            "org",
            "bucket",
            "database",
            "database_layout",
            "request_timeout_secs",
            "gzip_min_bytes",
        ],
    ),
    ("influx.files", &["data_dir", "file_rotate_bytes"]),
    ("influx.batch", &["batch_size", "flush_interval_ms", "max_in_flight", "threads", "idle_secs"]),
    ("influx.buffer", &["buffer_lines", "buffer_total_bytes", "hold_lines", "hold_secs"]),
    ("influx.retry", &["retry_delay_ms", "retry_delay_max_ms", "breaker_failures"]),
    ("influx.columns", &["max_fields_per_tenant", "column_retry_secs"]),
    ("influx.outbox", &["replay_lines_per_sec", "replay_interval_ms", "takeover_secs"]),
];

/// The setting that had this key before. It may still be set by it.
pub(super) fn moved(key: &str) -> Option<&'static Setting> {
    if key == "influx.outbox" {
        return find("influx.outbox.enabled");
    }
    let name = key.strip_prefix("influx.")?;
    let (table, _) = MOVED.iter().find(|(_, names)| names.contains(&name))?;
    find(&format!("{table}.{name}"))
}

/// Whether the file may have a table of this name.
pub(super) fn is_table(name: &str) -> bool {
    all().any(|setting| setting.path().0 == name)
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_used_twice() {
        for (index, setting) in all().enumerate() {
            for other in all().skip(index + 1) {
                assert_ne!(setting.key, other.key);
                assert!(setting.env.is_none() || setting.env != other.env, "{:?}", setting.env);
            }
        }
    }

    #[test]
    fn every_former_key_leads_to_a_setting_of_a_table_below() {
        for name in MOVED.iter().flat_map(|(_, names)| names.iter()).chain(&["outbox"]) {
            let key = format!("influx.{name}");
            assert!(find(&key).is_none() && moved(&key).is_some(), "{key}");
        }
        assert!(moved("influx.write_enabled").is_none() && moved("influx.enabled").is_none());
    }
}
