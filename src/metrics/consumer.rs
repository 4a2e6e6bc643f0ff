//! Metrics of the JetStream consumers, one per lane.

use prometheus_client::metrics::gauge::Gauge;

use super::exposition::{Exposition, FloatGauge};
use super::label::Per;
use crate::delivery::Lane;

/// The consumers as the broker sees them; set each time their state is read.
#[derive(Clone, Debug)]
pub struct ConsumerMetrics {
    /// `ingest_consumer_pending{consumer}`: messages not delivered to anyone yet.
    pub pending: Per<Lane, Gauge>,
    /// `ingest_consumer_ack_pending{consumer}`: messages delivered to any replica and not acknowledged yet.
    pub ack_pending: Per<Lane, Gauge>,
    /// `ingest_consumer_redelivered{consumer}`: messages delivered more than once and not acknowledged yet.
    pub redelivered: Per<Lane, Gauge>,
    /// `ingest_consumer_lag_seconds{consumer}`: age of the newest message handed to this replica, when it arrived here.
    pub lag_seconds: Per<Lane, FloatGauge>,
    /// `ingest_consumer_max_ack_pending{consumer}`: most messages delivered and not acknowledged, over all replicas.
    pub max_ack_pending: Per<Lane, Gauge>,
    /// `ingest_window_bytes{consumer}`: bytes of the deliveries that this replica holds.
    pub window_bytes: Per<Lane, Gauge>,
}

impl ConsumerMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            pending: exposition.default("consumer_pending", "Messages not delivered to anyone yet"),
            ack_pending: exposition
                .default("consumer_ack_pending", "Messages delivered to any replica, not acknowledged yet"),
            redelivered: exposition
                .default("consumer_redelivered", "Messages delivered more than once, not acknowledged yet"),
            lag_seconds: exposition.default("consumer_lag_seconds", "Age of the newest message handed to this replica"),
            max_ack_pending: exposition
                .default("consumer_max_ack_pending", "Most messages delivered to all replicas, not acknowledged yet"),
            window_bytes: exposition.default("window_bytes", "Bytes of the deliveries that this replica holds"),
        }
    }
}
