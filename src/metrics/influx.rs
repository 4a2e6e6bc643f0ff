//! Metrics of the InfluxDB sink and of what the outbox holds for it.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::batchers::BatcherFigures;
use super::exposition::Exposition;
use super::figure_source::FigureSource;
use super::label::{FlushResult, LineResult, Per, RequestStatus, ServerLimit};
use super::outbox::OutboxBacklogs;
use ingest_core::influx::line_protocol::Skipped;

/// Lines to InfluxDB.
#[derive(Clone, Debug)]
pub struct InfluxMetrics {
    /// `ingest_influx_lines_total{result}`.
    pub lines: Per<LineResult, Counter>,
    /// `ingest_influx_flush_seconds`: one request, failed ones included.
    pub flush_seconds: Histogram,
    /// `ingest_influx_flushes_total{result}`.
    pub flushes: Per<FlushResult, Counter>,
    /// `ingest_influx_failed_lines_total`: lines of writes that failed, once for each; they are kept and tried again.
    pub failed_lines: Counter,
    /// `ingest_influx_requests_total{status}`: requests to the server, writes and others.
    pub requests: Per<RequestStatus, Counter>,
    /// `ingest_influx_unconfirmed_lines`: lines that InfluxDB has not confirmed: buffered, in flight, or in the
    /// outbox.
    pub unconfirmed_lines: Gauge,
    /// `ingest_influx_buffered_lines`: lines in the batchers' buffers.
    pub buffered_lines: Gauge,
    /// `ingest_influx_replayed_lines_total`: confirmed lines that redelivery rebuilt from their rows.
    pub replayed_lines: Counter,
    /// `ingest_influx_vanished_lines_total`: unrecoverable lines: outbox entries whose rows PostgreSQL no longer has.
    pub unrecoverable_lines: Counter,
    /// `ingest_influx_owed_*{tenant}`, `ingest_influx_replay_*{tenant}`: each tenant's outbox backlog, and how
    /// fast it is written.
    pub outbox: Arc<OutboxBacklogs>,
    /// `ingest_influx_batchers`: tenants with a batcher.
    pub batchers: Gauge,
    /// The batchers one by one, for whoever shows them.
    pub(crate) batchers_shown: Arc<FigureSource<BatcherFigures>>,
    /// `ingest_influx_breakers_open`: tenants whose database does not take writes now.
    pub breakers_open: Gauge,
    /// `ingest_influx_limit_refusals_total{limit}`: writes that the server refused at one of its capacity limits.
    pub limits: Per<ServerLimit, Counter>,
    /// `ingest_influx_fields_skipped_total{reason}`: metrics that no point can hold.
    pub fields_skipped: Per<Skipped, Counter>,
    /// `ingest_influx_points_skipped_total`: events whose time no point can hold.
    pub points_skipped: Counter,
}

impl InfluxMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            lines: exposition.default("influx_lines", "Lines, by what became of them"),
            flush_seconds: exposition.seconds("influx_flush_seconds", "One request"),
            flushes: exposition.default("influx_flushes", "Requests"),
            failed_lines: exposition.default("influx_failed_lines", "Lines of writes that failed, once for each write"),
            requests: exposition
                .default("influx_requests", "Requests to the server, by the answer's status or why there was none"),
            unconfirmed_lines: exposition.default("influx_unconfirmed_lines", "Lines owed to InfluxDB"),
            buffered_lines: exposition.default("influx_buffered_lines", "Lines in the batchers' buffers"),
            replayed_lines: exposition.default("influx_replayed_lines", "Confirmed lines rebuilt from their rows"),
            unrecoverable_lines: exposition
                .default("influx_vanished_lines", "Lines owed that can't be replayed: their rows are gone"),
            outbox: exposition.collector(),
            batchers: exposition.default("influx_batchers", "Tenants with a batcher"),
            batchers_shown: Arc::default(),
            breakers_open: exposition
                .default("influx_breakers_open", "Tenants whose database does not take writes now"),
            limits: exposition.default("influx_limit_refusals", "What the server had no room for"),
            fields_skipped: exposition.default("influx_fields_skipped", "Metrics that no point can hold"),
            points_skipped: exposition.default("influx_points_skipped", "Events whose time no point can hold"),
        }
    }
}
