//! What operators and Kubernetes ask: health, readiness, metrics, stats.

mod connections;
mod metrics;
mod probes;
mod server;
mod stats;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub(crate) use self::server::start;

/// The `[http]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// `HTTP_BIND`; port 0 takes a free one, which the log names.
    pub bind: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}
