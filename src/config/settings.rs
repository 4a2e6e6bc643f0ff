//! All settings, table by table. Each is declared in its component's `config.rs` (`[log]` in `runtime/logging.rs`).

use crate::runtime::setting::Setting;
use crate::runtime::value_type::{ValueType, whole};
use crate::{gateway, http, nats, postgres, registry, runtime, sink, supervisor, validate};

/// The lists of the tables, in the order in which they are shown.
const TABLES: [&[Setting]; 12] = [
    nats::config::Config::SETTINGS,
    validate::Config::SETTINGS,
    registry::Config::SETTINGS,
    postgres::Config::SETTINGS,
    sink::influx::Config::SETTINGS,
    sink::routes::Config::SETTINGS,
    sink::state::Config::SETTINGS,
    http::Config::SETTINGS,
    gateway::Config::SETTINGS,
    gateway::http::Config::SETTINGS,
    runtime::logging::Config::SETTINGS,
    supervisor::Config::SETTINGS,
];

/// All settings, in the order in which they are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    TABLES.into_iter().flatten()
}

/// Variables that operators of the system know and that have nothing left to set: checked, then said to be without effect.
pub(super) const RETIRED: &[(&str, ValueType, &str)] = &[(
    "METRIC_MAP_CACHE_SIZE",
    whole(0, i64::MAX),
    "has no effect: key maps are held with their devices, as many as AUTH_CACHE_MAX_SIZE says",
)];

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
}
