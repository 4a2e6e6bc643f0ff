//! Metrics of the NATS connections.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::counted::Counted;
use super::exposition::Exposition;
use super::label::Per;
use ingest_core::flow::permission::Operation;

/// Denied operations, and streams and consumers that the node created.
#[derive(Clone, Debug)]
pub struct NatsMetrics {
    /// `ingest_nats_permission_violations_total{operation}`: operations that the server denied.
    pub permission_violations: Per<Operation, Counter>,
    /// `ingest_nats_reconnects_total`: connections that were made again, of both.
    pub reconnects: Arc<Counted>,
    /// `ingest_streams_created_total`: streams that were missing.
    pub streams_created: Counter,
    /// `ingest_consumers_created_total`: consumers that were missing.
    pub consumers_created: Counter,
}

impl NatsMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            permission_violations: exposition.default("nats_permission_violations", "What the server did not permit"),
            reconnects: exposition.counted("nats_reconnects", "Connections to NATS that were made again."),
            streams_created: exposition.default("streams_created", "Streams that were missing and were created"),
            consumers_created: exposition.default("consumers_created", "Consumers that were missing and were created"),
        }
    }
}
