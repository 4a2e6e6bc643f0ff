//! The whole configuration: one field per table, each a component's own type.

use serde::{Deserialize, Serialize};

use crate::runtime::logging;
use crate::runtime::secret::Secret;
use crate::{gateway, http, nats, postgres, registry, sink, supervisor, validate};

/// The configuration. Each component's own type says what its settings mean and why its defaults are what they are.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Deliveries in, settlements out.
    pub nats: nats::config::Config,
    /// Validation.
    pub validate: validate::Config,
    /// Device look-ups.
    pub registry: registry::Config,
    /// Rows.
    pub postgres: postgres::Config,
    /// Points.
    pub influx: sink::influx::Config,
    /// Route jobs.
    pub routes: sink::routes::Config,
    /// Derived state.
    pub state: sink::state::Config,
    /// How long rows are kept.
    pub retention: postgres::retention::Config,
    /// Probes and metrics.
    pub http: http::Config,
    /// Administration.
    pub admin: http::admin::Config,
    /// Ways in (`gateway`).
    pub gateway: gateway::Config,
    /// The MQTT broker that the gateway reads.
    pub mqtt: gateway::mqtt::Config,
    /// The gateway's way in over HTTP.
    pub gateway_http: gateway::http::Config,
    /// The log.
    pub log: logging::Config,
    /// Start, restarts, drain.
    pub supervisor: supervisor::Config,
}

impl Config {
    /// All secrets, each after its key.
    pub(crate) fn secrets(&self) -> [(&'static str, &Secret); 8] {
        [
            ("nats.url", &self.nats.url),
            ("nats.password", &self.nats.password),
            ("nats.token", &self.nats.token),
            ("nats.nkey_seed", &self.nats.nkey_seed),
            ("postgres.url", &self.postgres.url),
            ("influx.target.token", &self.influx.target.token),
            ("admin.key", &self.admin.key),
            ("mqtt.password", &self.mqtt.password),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::all;

    #[test]
    fn no_secret_is_left_out() {
        let settings: Vec<&str> =
            all().filter(|setting| setting.value_type.is_secret()).map(|setting| setting.key).collect();
        assert_eq!(Config::default().secrets().map(|(key, _)| key)[..], settings[..]);
    }
}
