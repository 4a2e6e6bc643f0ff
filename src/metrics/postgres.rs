//! Metrics of the PostgreSQL sink and its quarantine.

use std::sync::{Arc, LazyLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::exposition::Exposition;
use super::figure_source::FigureSource;
use super::label::{Effect, ErrorClass, FlushResult, Per};
use super::postgres_pool::PoolFigures;
use ingest_core::message::rejection::Reason;

/// Errors are recognised in conversions, where no actor's metrics are at hand: they are counted for the whole process.
static ERRORS: LazyLock<Per<ErrorClass, Counter>> = LazyLock::new(Per::default);

/// Counts an error of PostgreSQL (`ingest_postgres_errors_total{class}`).
pub(crate) fn count_error(class: ErrorClass) {
    ERRORS.of(class).inc();
}

/// Messages of one tenant that were rejected for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantRejection {
    /// Why.
    pub reason: Reason,
    /// The tenant that it is counted for, `unknown`, or `others`.
    pub tenant: String,
    /// How many.
    pub count: u64,
}

/// Transactions in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresMetrics {
    /// `ingest_postgres_rows_total`: rows of `raw_events` committed.
    pub rows: Counter,
    /// `ingest_postgres_duplicates_suppressed_total`: redelivered messages whose row was there already.
    pub duplicates_suppressed: Counter,
    /// `ingest_postgres_flush_seconds`: one batch from begin to commit, failed attempts included.
    pub flush_seconds: Histogram,
    /// `ingest_postgres_flushes_total{result}`.
    pub flushes: Per<FlushResult, Counter>,
    /// `ingest_postgres_pool{state}`: the connections of the pool.
    pub pool: Arc<FigureSource<PoolFigures>>,
    /// `ingest_postgres_buffered`: deliveries waiting for a batch or in one.
    pub buffered: Gauge,
    /// `ingest_quarantine_events_total`: rejected messages stored.
    pub quarantined: Counter,
    /// `ingest_quarantine_capped_total`: rejected messages counted only, over their tenant's cap.
    pub quarantine_capped: Counter,
    /// `ingest_quarantine_dropped_total`: rejections that PostgreSQL can't even count.
    pub quarantine_dropped: Counter,
    /// Rejected messages of the last one to two minutes by reason and tenant, a bounded number of pairs; never a series.
    pub(crate) recent_rejections: Arc<FigureSource<Vec<TenantRejection>>>,
    /// The same of points that InfluxDB has rejected.
    pub(crate) recent_rejected_points: Arc<FigureSource<Vec<TenantRejection>>>,
    /// `ingest_rejections_of_stored_rows_total`: redelivered messages that are rejected now and whose row was stored.
    pub rejections_of_stored_rows: Counter,
    /// `ingest_shadow_reports_total{result}`.
    pub shadow_reports: Per<Effect, Counter>,
    /// `ingest_command_acks_total{result}`.
    pub command_acks: Per<Effect, Counter>,
}

impl PostgresMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        exposition.register("postgres_errors", "Errors of PostgreSQL, by what they were about", ERRORS.clone());
        Self {
            rows: exposition.default("postgres_rows", "Rows of raw_events committed"),
            duplicates_suppressed: exposition
                .default("postgres_duplicates_suppressed", "Redelivered messages whose row was there already"),
            flush_seconds: exposition.seconds("postgres_flush_seconds", "One batch from begin to commit"),
            pool: exposition.collector(),
            flushes: exposition.default("postgres_flushes", "Attempts to write a batch"),
            buffered: exposition.default("postgres_buffered", "Deliveries waiting for a batch or in one"),
            quarantined: exposition.default("quarantine_events", "Rejected messages stored"),
            quarantine_capped: exposition.default("quarantine_capped", "Rejected messages counted only, over the cap"),
            quarantine_dropped: exposition
                .default("quarantine_dropped", "Rejected messages that can't even be counted"),
            recent_rejections: Arc::default(),
            recent_rejected_points: Arc::default(),
            rejections_of_stored_rows: exposition
                .default("rejections_of_stored_rows", "Redelivered messages rejected now, stored before"),
            shadow_reports: exposition.default("shadow_reports", "Valid shadow reports, by their effect"),
            command_acks: exposition.default("command_acks", "Valid command acknowledgements, by their effect"),
        }
    }
}
