//! Metrics of the route publisher.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;
use super::label::{Outcome, Per};

/// Route jobs and the deliveries that wait for them.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    /// `ingest_route_jobs_total{result}`: route jobs, by whether the stream acknowledged them.
    pub jobs: Per<Outcome, Counter>,
    /// `ingest_route_jobs_given_up_total`: those among the failed that the stream can never take.
    pub jobs_given_up: Counter,
    /// `ingest_route_deliveries_waiting`: stored deliveries whose route jobs wait for the stream.
    pub deliveries_waiting: Gauge,
}

impl RouteMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            jobs: exposition.default("route_jobs", "Route jobs, by whether the stream acknowledged them"),
            jobs_given_up: exposition.default("route_jobs_given_up", "Route jobs that the stream can never take"),
            deliveries_waiting: exposition.default("route_deliveries_waiting", "Deliveries whose route jobs wait"),
        }
    }
}
