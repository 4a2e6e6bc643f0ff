//! Metrics of the JetStream consumers, one per lane.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;

use super::broker::BrokerReports;
use super::exposition::Exposition;
use super::label::Per;
use crate::delivery::Lane;

/// The consumers as the broker sees them, and what this replica holds of each.
#[derive(Clone, Debug)]
pub struct ConsumerMetrics {
    /// The broker's figures; set each time a consumer's state is read, and absent while they are not known.
    pub broker: Arc<BrokerReports>,
    /// `ingest_window_bytes{consumer}`: bytes of the deliveries that this replica holds.
    pub window_bytes: Per<Lane, Gauge>,
}

impl ConsumerMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            broker: exposition.collector(),
            window_bytes: exposition.default("window_bytes", "Bytes of the deliveries that this replica holds"),
        }
    }
}
