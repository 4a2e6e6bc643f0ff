//! Metrics of the derived-state writer.

use prometheus_client::metrics::counter::Counter;

use super::exposition::Exposition;
use super::label::{Outcome, Per};

/// Updates of derived state (sensors, last values, positions).
#[derive(Clone, Debug)]
pub struct StateMetrics {
    /// `ingest_state_updates_total{result}`: events offered to the derived state.
    pub updates: Per<Outcome, Counter>,
}

impl StateMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self { updates: exposition.default("state_updates", "Events offered to the derived state") }
    }
}
