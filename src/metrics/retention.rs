//! Metrics of retention. The figures exist while the node drops anything.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::exposition::Exposition;
use super::figure_source::FigureSource;
use super::label::{Per, RetainedTable};

/// What was dropped, and how far it is.
#[derive(Clone, Debug)]
pub struct RetentionMetrics {
    /// `ingest_retention_partitions_dropped_total`: old partitions of raw_events dropped by this replica.
    pub(crate) partitions_dropped: Counter,
    /// `ingest_retention_rows_deleted_total{table}`: old rows of the quarantine deleted by this replica.
    pub(crate) rows_deleted: Per<RetainedTable, Counter>,
    /// `ingest_retention_reader_indexes_total`: indexes for readers made by this replica.
    pub(crate) reader_indexes: Counter,
    /// `ingest_retention_errors_total`: steps that failed.
    pub(crate) errors: Counter,
    /// What the last round has found.
    pub(crate) figures: Arc<FigureSource<RetentionFigures>>,
}

/// What a round has found; none of what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RetentionFigures {
    /// The beginning of the oldest day of which rows are kept, Unix seconds.
    pub oldest_day_secs: Option<i64>,
    /// Old partitions that are kept because InfluxDB is owed points of their day.
    pub held_back: Option<i64>,
    /// Seconds since the last round that was complete, or since the start where there was none.
    pub success_age_secs: Option<f64>,
}

impl RetentionMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            partitions_dropped: exposition
                .default("retention_partitions_dropped", "Old partitions of raw_events dropped by this replica"),
            rows_deleted: exposition
                .default("retention_rows_deleted", "Old rows of the quarantine deleted by this replica"),
            reader_indexes: exposition.default("retention_reader_indexes", "Indexes for readers made by this replica"),
            errors: exposition.default("retention_errors", "Steps of retention that failed"),
            figures: exposition.collector(),
        }
    }
}

impl Collector for FigureSource<RetentionFigures> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(figures) = self.read() else { return Ok(()) };
        let series = [
            (
                "retention_oldest_day_seconds",
                "Beginning of the oldest day of which rows are kept, Unix time.",
                figures.oldest_day_secs.map(|secs| secs as f64),
            ),
            (
                "retention_held_back_partitions",
                "Old partitions kept because InfluxDB is owed points of their day.",
                figures.held_back.map(|count| count as f64),
            ),
            (
                "retention_last_success_age_seconds",
                "Time since the last round of this replica that was complete, or in which another one was at it.",
                figures.success_age_secs,
            ),
        ];
        for (name, help, value) in series {
            if let Some(value) = value {
                let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(encoder)?;
            }
        }
        Ok(())
    }
}
