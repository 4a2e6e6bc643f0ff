//! The whole configuration: one field per table, each a component's own type.

use serde::{Deserialize, Serialize};

use crate::runtime::logging;
use crate::{http, nats, postgres, registry, sink, supervisor, validate};

/// The configuration. Each room's own type says what its settings mean and why its defaults are what they are.
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
    /// Probes and metrics.
    pub http: http::Config,
    /// The log.
    pub log: logging::Config,
    /// Start, restarts, drain.
    pub supervisor: supervisor::Config,
}
