//! What operators and Kubernetes ask: health, readiness, metrics, stats.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The `[http]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `HTTP_BIND`.
    pub bind: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}
