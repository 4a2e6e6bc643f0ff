//! The way from defaults, a file and the environment to a configuration, in this order.
//!
//! Strict: an unknown key or an unparseable value anywhere is one plain sentence, and nothing starts.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ConfigError;
use super::layered::{Env, LayeredConfig, Source};
use super::tables::Config;
use crate::postgres::connector::Connector;
use crate::{nats, sink};

/// A configuration and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration, checked.
    pub config: Config,
    /// Things to be said once the log runs: variables without effect, safety that is switched off.
    pub notices: Vec<String>,
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Where a setting's value came from.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or_default()
    }
}

impl Config {
    /// Gathers the configuration: defaults under the file (`path`, else `DEFAULT_PATH` if it exists) under the environment.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn load(path: Option<&Path>, env: &Env) -> Result<Loaded, ConfigError> {
        let mut layered = LayeredConfig::default();
        layered.read_file(path)?;
        let mut notices = layered.read_env(env)?;
        let (mut config, sources) = layered.build()?;
        if !sources.contains_key("postgres.pool_min") {
            // Who asks for a small pool need not know of our minimum.
            config.postgres.pool_min = config.postgres.pool_min.min(config.postgres.pool_max);
        }
        // Likewise who asks for a short drain: what is held on purpose ends before it.
        let drain_secs = config.supervisor.longest_wait_secs();
        for (key, secs) in
            [("routes.retry_secs", &mut config.routes.retry_secs), ("influx.drain_secs", &mut config.influx.drain_secs)]
        {
            if !sources.contains_key(key) {
                *secs = drain_secs.min(*secs);
            }
        }
        config.validate()?;
        if !config.influx.outbox {
            notices
                .push("influx.outbox is off: an outage of InfluxDB, or of this node, loses points for good".to_owned());
        }
        Ok(Loaded { config, notices, sources })
    }

    /// Checks what one setting demands of another; the bounds of each are in the components' tables.
    ///
    /// # Errors
    /// The first pair that does not fit.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let Self { nats: source, postgres, influx, routes, state, supervisor, .. } = self;
        let slowest = postgres.transaction_timeout_secs.max(influx.request_timeout_secs).max(state.write_timeout_secs);
        let rules = [
            (
                postgres.pool_min <= postgres.pool_max,
                "postgres.pool_min (PG_POOL_MIN) must not exceed pool_max (PG_POOL_MAX)",
            ),
            (source.nak_delay_ms <= source.nak_delay_max_ms, "nats.nak_delay_ms must not exceed nak_delay_max_ms"),
            (
                influx.batch_size <= influx.buffer_lines,
                "influx.batch_size (INFLUX_BATCH_SIZE) must not exceed buffer_lines",
            ),
            (
                influx.retry_delay_ms <= influx.retry_delay_max_ms,
                "influx.retry_delay_ms must not exceed retry_delay_max_ms",
            ),
            (
                slowest < supervisor.stuck_after_secs,
                "supervisor.stuck_after_secs must be longer than postgres.transaction_timeout_secs, influx.request_timeout_secs and state.write_timeout_secs",
            ),
            (
                routes.retry_secs.max(influx.drain_secs) <= supervisor.longest_wait_secs(),
                "routes.retry_secs and influx.drain_secs must be shorter than supervisor.drain_timeout_secs (DRAIN_TIMEOUT_SECONDS), by 2 at least",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err(ConfigError::new(sentence)),
            None => nats::login::check(source)
                .and_then(|()| Connector::new(postgres).map(drop).map_err(|error| error.to_string()))
                .and_then(|()| sink::influx::Backend::new(influx).map(drop))
                .map_err(ConfigError::new),
        }
    }
}
