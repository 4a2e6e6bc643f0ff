//! Metrics of the derived-state writer.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::exposition::Exposition;
use super::label::{Outcome, Per};
use super::missing_readings::MissingReadings;

/// Updates of derived state (sensors, last values, positions), and what they show of missing readings.
#[derive(Clone, Debug)]
pub struct StateMetrics {
    /// `ingest_state_updates_total{result}`: events offered to the derived state.
    pub updates: Per<Outcome, Counter>,
    /// Numbers that are missing, devices that are silent, and the alerts about these, per tenant.
    pub readings: Arc<MissingReadings>,
}

impl StateMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            updates: exposition.default("state_updates", "Events offered to the derived state"),
            readings: exposition.collector(),
        }
    }
}
