//! Whether a delivery waits for its point.

use serde::{Deserialize, Serialize};

/// When a delivery may be acknowledged, as far as InfluxDB is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WritePolicy {
    /// Never wait for InfluxDB.
    #[default]
    BestEffort,
    /// Only when the point is durable there.
    Required,
}
