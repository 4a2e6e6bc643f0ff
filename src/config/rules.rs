//! What one setting demands of another; the bounds of each are in the components' tables.

use super::diagnostics::Diagnostics;
use super::tables::Config;
use crate::runtime::secret::Secret;
use crate::runtime::setting::Setting;
use crate::{gateway, nats, postgres, sink};
use ingest_core::provision::admin_key;

/// What must hold between settings.
struct Rule {
    /// The settings; where one could not be read, nothing is said of the others.
    keys: &'static [&'static str],
    holds: fn(&Config) -> bool,
    /// Named as operators know them, and what to do.
    sentence: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        keys: &["postgres.pool_min", "postgres.pool_max"],
        holds: |config| config.postgres.pool_min <= config.postgres.pool_max,
        sentence: "postgres.pool_min (PG_POOL_MIN) must not exceed pool_max (PG_POOL_MAX)",
    },
    Rule {
        keys: &["nats.nak_delay_ms", "nats.nak_delay_max_ms"],
        holds: |config| config.nats.nak_delay_ms <= config.nats.nak_delay_max_ms,
        sentence: "nats.nak_delay_ms must not exceed nak_delay_max_ms",
    },
    Rule {
        keys: &["influx.batch.batch_size", "influx.buffer.buffer_lines"],
        holds: |config| config.influx.batch.batch_size <= config.influx.buffer.buffer_lines,
        sentence: "influx.batch.batch_size (INFLUX_BATCH_SIZE) must not exceed influx.buffer.buffer_lines",
    },
    Rule {
        keys: &["influx.retry.retry_delay_ms", "influx.retry.retry_delay_max_ms"],
        holds: |config| config.influx.retry.retry_delay_ms <= config.influx.retry.retry_delay_max_ms,
        sentence: "influx.retry.retry_delay_ms must not exceed retry_delay_max_ms",
    },
    Rule {
        keys: &[
            "supervisor.stuck_after_secs",
            "postgres.transaction_timeout_secs",
            "influx.target.request_timeout_secs",
            "state.write_timeout_secs",
        ],
        holds: |Config { postgres, influx, state, supervisor, .. }| {
            let slowest =
                postgres.transaction_timeout_secs.max(influx.target.request_timeout_secs).max(state.write_timeout_secs);
            slowest < supervisor.stuck_after_secs
        },
        sentence: "supervisor.stuck_after_secs must be longer than postgres.transaction_timeout_secs, \
                   influx.target.request_timeout_secs and state.write_timeout_secs",
    },
    Rule {
        keys: &["routes.retry_secs", "influx.drain_secs", "supervisor.drain_timeout_secs"],
        holds: |Config { routes, influx, supervisor, .. }| {
            routes.retry_secs.max(influx.drain_secs) <= supervisor.longest_wait_secs()
        },
        sentence: "routes.retry_secs and influx.drain_secs must be shorter than supervisor.drain_timeout_secs \
                   (DRAIN_TIMEOUT_SECONDS), by 2 at least",
    },
    Rule {
        keys: &["state.flush_interval_secs", "state.flush_interval_max_secs"],
        holds: |config| config.state.flush_interval_secs <= config.state.flush_interval_max_secs,
        sentence: "state.flush_interval_secs must not exceed flush_interval_max_secs",
    },
    Rule {
        keys: &["state.silence.min_secs", "state.silence.max_secs"],
        holds: |config| config.state.silence.min_secs <= config.state.silence.max_secs,
        sentence: "state.silence.min_secs (DEVICE_SILENCE_MIN_SECONDS) must not exceed max_secs (DEVICE_SILENCE_MAX_SECONDS)",
    },
    Rule {
        keys: &["routes.duplicate_window_secs", "routes.retry_secs", "nats.nak_delay_ms"],
        holds: |Config { routes, nats, .. }| {
            routes.retry_secs * 1_000 + nats.nak_delay_ms < routes.duplicate_window_secs * 1_000
        },
        sentence: "routes.duplicate_window_secs must be longer than routes.retry_secs and nats.nak_delay_ms together, or a \
                   message that is handed back makes a second job",
    },
];

/// The settings that decide where points go.
const BACKEND: &[&str] = &[
    "influx.target.api",
    "influx.target.url",
    "influx.target.token",
    "influx.target.ca_file",
    "influx.target.bucket",
    "influx.target.database",
    "influx.target.database_layout",
];

/// The settings of the log-in to NATS.
const LOGIN: &[&str] = &[
    "nats.url",
    "nats.user",
    "nats.password",
    "nats.token",
    "nats.nkey_seed",
    "nats.creds_file",
    "nats.ca_file",
    "nats.cert_file",
    "nats.key_file",
];

/// Adds every rule that is broken to the errors.
pub(super) fn check(config: &Config, diagnostics: &mut Diagnostics) {
    for Rule { keys, holds, sentence } in RULES {
        if keys.iter().all(|key| diagnostics.is_read(key)) && !holds(config) {
            diagnostics.error(sentence);
        }
    }
    let is_table_read =
        |table: &[Setting], diagnostics: &Diagnostics| table.iter().all(|setting| diagnostics.is_read(setting.key));
    if LOGIN.iter().all(|key| diagnostics.is_read(key)) {
        diagnostics.errors.extend(nats::login::problems(&config.nats).iter().map(ToString::to_string));
    }
    if is_table_read(postgres::config::Config::SETTINGS, diagnostics) {
        diagnostics.errors.extend(postgres::target::problems(&config.postgres).iter().map(ToString::to_string));
    }
    if diagnostics.is_read("admin.key")
        && let Some(sentence) = unfit_admin_key(&config.admin.key)
    {
        diagnostics.error(sentence);
    }
    if is_table_read(gateway::mqtt::Config::SETTINGS, diagnostics) {
        diagnostics.errors.extend(config.mqtt.problems());
    }
    if is_table_read(gateway::http::Config::SETTINGS, diagnostics) {
        diagnostics.errors.extend(gateway::http::tls_problems(&config.gateway_http).iter().map(ToString::to_string));
    }
    if BACKEND.iter().all(|key| diagnostics.is_read(key)) {
        diagnostics.errors.extend(sink::influx::Backend::problems(&config.influx).iter().map(ToString::to_string));
    }
}

/// Why a key that is set can't be used.
fn unfit_admin_key(key: &Secret) -> Option<String> {
    let why = admin_key::check(&key.expose()).err().filter(|_| !key.is_empty())?;
    Some(format!("ADMIN_KEY {why}: make one with `openssl rand -hex 32`, or leave it out for no admin listener"))
}
