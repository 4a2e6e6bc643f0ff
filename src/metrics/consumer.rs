//! Metrics of the JetStream consumers, one per lane.

use std::sync::Arc;

use super::broker::BrokerReports;
use super::exposition::Exposition;
use super::window_bytes::WindowBytes;
use crate::delivery::Lanes;

/// The consumers as the broker sees them, and what this replica holds of each.
#[derive(Clone, Debug)]
pub struct ConsumerMetrics {
    /// The broker's figures; set each time a consumer's state is read, and absent while they are not known.
    pub broker: Arc<BrokerReports>,
    /// `ingest_window_bytes{consumer}`: bytes of the deliveries that this replica holds.
    pub window_bytes: Arc<WindowBytes>,
}

impl ConsumerMetrics {
    pub(super) fn new(exposition: &mut Exposition, lanes: Lanes) -> Self {
        Self {
            broker: exposition.collect(BrokerReports::new(lanes)),
            window_bytes: exposition.collect(WindowBytes::new(lanes)),
        }
    }
}
