//! Metrics of the console.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;

/// Who watches.
#[derive(Clone, Debug)]
pub struct ConsoleMetrics {
    /// `ingest_console_viewers`: streams of `/console/events` that are open.
    pub viewers: Gauge,
    /// `ingest_console_viewers_dropped_total`: streams that were ended because their viewer did not read.
    pub viewers_dropped: Counter,
}

impl ConsoleMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            viewers: exposition.default("console_viewers", "Streams of the console that are open"),
            viewers_dropped: exposition.default("console_viewers_dropped", "Streams whose viewer did not read"),
        }
    }
}
