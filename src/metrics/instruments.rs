//! Every metric of the crate, as typed handles that any thread may use.
//!
//! Rooms add whole chunks at a time (`inc_by`), never single events. All names start with `ingest_`; counters end in
//! `_total`. docs/metrics.md lists them, and a test keeps that list complete.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry;
use serde::Serialize;

use super::label::{Effect, FlushResult, LineResult, LookupResult, MsgKind, Outcome, Per, ReplayClaim, ServerLimit};
use super::ledger::Ledgers;
use super::owed::Owed;
use crate::delivery::Lane;
use ingest_core::flow::permission::Operation;
use ingest_core::influx::line_protocol::Skipped;
use ingest_core::message::rejection::Reason;

/// A gauge that holds fractions.
pub(crate) type FloatGauge = Gauge<f64, AtomicU64>;

/// All metrics, one field per room.
#[derive(Debug)]
pub struct Metrics {
    /// The lanes' accounts of their deliveries.
    pub ledgers: Arc<Ledgers>,
    /// The consumers as the broker sees them.
    pub consumers: ConsumerMetrics,
    /// Validation.
    pub validation: ValidationMetrics,
    /// Device look-ups and their caches.
    pub registry: RegistryMetrics,
    /// Transactions in PostgreSQL.
    pub postgres: PostgresMetrics,
    /// Lines to InfluxDB.
    pub influx: InfluxMetrics,
    /// `ingest_route_jobs_total{result}`: route jobs, by whether the stream acknowledged them.
    pub route_jobs: Per<Outcome, Counter>,
    /// `ingest_route_jobs_given_up_total`: those among the failed that the stream can never take.
    pub route_jobs_given_up: Counter,
    /// `ingest_route_deliveries_waiting`: stored deliveries whose route jobs wait for the stream.
    pub route_deliveries_waiting: Gauge,
    /// `ingest_state_updates_total{result}`: events offered to the derived state (sensors, last values, positions).
    pub state_updates: Per<Outcome, Counter>,
    /// `ingest_nats_permission_violations_total{operation}`: what the server did not permit.
    pub permission_violations: Per<Operation, Counter>,
    /// `ingest_streams_created_total`: streams that were missing.
    pub streams_created: Counter,
    /// `ingest_consumers_created_total`: consumers that were missing.
    pub consumers_created: Counter,
    restarts: Family<ActorLabel, Counter>,
    exposition: registry::Registry,
}

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

/// Validation's counters.
#[derive(Clone, Debug)]
pub struct ValidationMetrics {
    /// `ingest_events_accepted_total{msg_type}`.
    pub accepted: Per<MsgKind, Counter>,
    /// `ingest_rejections_total{reason}`.
    pub rejections: Per<Reason, Counter>,
    /// `ingest_replays_total{result}`: messages with a replay's header.
    pub replays: Per<ReplayClaim, Counter>,
    /// `ingest_timestamp_fallbacks_total`: events without a usable `ts`, which got the broker's time.
    pub timestamp_fallbacks: Counter,
}

/// Device look-ups and their caches.
#[derive(Clone, Debug)]
pub struct RegistryMetrics {
    /// `ingest_registry_cache_hits_total`: messages whose device was known.
    pub cache_hits: Counter,
    /// `ingest_registry_cache_misses_total`: messages that waited for a look-up.
    pub cache_misses: Counter,
    /// `ingest_registry_cache_entries`: devices held over all validators; each adds and subtracts its own.
    pub cache_entries: Gauge,
    /// `ingest_registry_lookups_total{result}`: devices looked up.
    pub lookups: Per<LookupResult, Counter>,
    /// `ingest_registry_lookup_seconds`: one batch of look-ups.
    pub lookup_seconds: Histogram,
    /// `ingest_registry_invalidations_total`: notifications of changed devices, tenants or settings.
    pub invalidations: Counter,
    /// `ingest_registry_listening`: 1 while changes are heard of as they happen.
    pub listening: Gauge,
    /// `ingest_registry_provisioned_total`: devices registered by auto-provisioning.
    pub provisioned: Counter,
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
    /// `ingest_postgres_buffered`: deliveries waiting for a batch or in one.
    pub buffered: Gauge,
    /// `ingest_quarantine_events_total`: rejected messages stored.
    pub quarantined: Counter,
    /// `ingest_quarantine_capped_total`: rejected messages counted only, over their tenant's cap.
    pub quarantine_capped: Counter,
    /// `ingest_quarantine_dropped_total`: rejections that PostgreSQL can't even count.
    pub quarantine_dropped: Counter,
    /// `ingest_rejections_of_stored_rows_total`: redelivered messages that are rejected now and whose row was stored.
    pub rejections_of_stored_rows: Counter,
    /// `ingest_shadow_reports_total{result}`.
    pub shadow_reports: Per<Effect, Counter>,
    /// `ingest_command_acks_total{result}`.
    pub command_acks: Per<Effect, Counter>,
}

/// Lines to InfluxDB.
#[derive(Clone, Debug)]
pub struct InfluxMetrics {
    /// `ingest_influx_lines_total{result}`.
    pub lines: Per<LineResult, Counter>,
    /// `ingest_influx_flush_seconds`: one request, failed ones included.
    pub flush_seconds: Histogram,
    /// `ingest_influx_flushes_total{result}`.
    pub flushes: Per<FlushResult, Counter>,
    /// `ingest_influx_unconfirmed_lines`: lines owed to InfluxDB: buffered, in flight, or on record for the replay.
    pub unconfirmed_lines: Gauge,
    /// `ingest_influx_buffered_lines`: lines in the batchers' buffers.
    pub buffered_lines: Gauge,
    /// `ingest_influx_replayed_lines_total`: confirmed lines that the replay rebuilt from their rows.
    pub replayed_lines: Counter,
    /// `ingest_influx_vanished_lines_total`: lines on record of which PostgreSQL has no row any more.
    pub vanished_lines: Counter,
    /// `ingest_influx_owed_*{tenant}`, `ingest_influx_replay_*{tenant}`: what tenants are owed, and how fast it is paid.
    pub owed: Arc<Owed>,
    /// `ingest_influx_batchers`: tenants with a batcher.
    pub batchers: Gauge,
    /// `ingest_influx_breakers_open`: tenants whose database does not take writes now.
    pub breakers_open: Gauge,
    /// `ingest_influx_limit_refusals_total{limit}`: what the server turned away because it holds only so much of it.
    pub limits: Per<ServerLimit, Counter>,
    /// `ingest_influx_fields_skipped_total{reason}`: metrics that no point can hold.
    pub fields_skipped: Per<Skipped, Counter>,
    /// `ingest_influx_points_skipped_total`: events whose time no point can hold.
    pub points_skipped: Counter,
}

/// What the periodic stats line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names are those of the log line
pub struct Totals {
    pub received: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub influx_ok: u64,
    pub influx_err: u64,
    pub influx_flushes: u64,
    pub influx_buffer: i64,
    pub pending: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabel {
    actor: &'static str,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Arc<Self> {
        let mut book = Book(registry::Registry::with_prefix("ingest"));
        let ledgers = Arc::new(Ledgers::default());
        book.0.register_collector(Box::new(ledgers.clone()));
        book.0.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Arc::new(Self {
            ledgers,
            consumers: ConsumerMetrics::new(&mut book),
            validation: ValidationMetrics::new(&mut book),
            registry: RegistryMetrics::new(&mut book),
            postgres: PostgresMetrics::new(&mut book),
            influx: InfluxMetrics::new(&mut book),
            route_jobs: book.default("route_jobs", "Route jobs, by whether the stream acknowledged them"),
            route_jobs_given_up: book.default("route_jobs_given_up", "Route jobs that the stream can never take"),
            route_deliveries_waiting: book.default("route_deliveries_waiting", "Deliveries whose route jobs wait"),
            state_updates: book.default("state_updates", "Events offered to the derived state"),
            permission_violations: book.default("nats_permission_violations", "What the server did not permit"),
            streams_created: book.default("streams_created", "Streams that were missing and were created"),
            consumers_created: book.default("consumers_created", "Consumers that were missing and were created"),
            restarts: book.default("actor_restarts", "Restarts by the supervisor"),
            exposition: book.0,
        })
    }

    /// Shows an actor's restarts from the start, at zero: an alert on a series that is not there yet never fires.
    pub fn watched(&self, actor: &'static str) {
        drop(self.restarts.get_or_create(&ActorLabel { actor }));
    }

    /// Counts a restart (`ingest_actor_restarts_total{actor}`); `actor` is the role's name.
    pub fn restarted(&self, actor: &'static str) {
        self.restarts.get_or_create(&ActorLabel { actor }).inc();
    }

    /// What the periodic stats line says.
    pub fn totals(&self) -> Totals {
        let influx = &self.influx;
        Totals {
            received: Lane::ALL.iter().map(|&lane| self.ledgers.lane(lane).received).sum(),
            accepted: self.validation.accepted.total(),
            rejected: self.validation.rejections.total(),
            influx_ok: influx.lines.of(LineResult::Ok).get(),
            influx_err: influx.lines.total() - influx.lines.of(LineResult::Ok).get(),
            influx_flushes: influx.flushes.total(),
            influx_buffer: influx.buffered_lines.get(),
            pending: Lane::ALL.iter().map(|&lane| self.consumers.pending.of(lane).get()).sum(),
        }
    }

    /// The OpenMetrics text of a scrape.
    ///
    /// # Errors
    /// None in practice: only a failing writer fails, and a `String` does not.
    pub fn open_metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        text::encode(&mut text, &self.exposition)?;
        Ok(text)
    }
}

impl ConsumerMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            pending: book.default("consumer_pending", "Messages not delivered to anyone yet"),
            ack_pending: book
                .default("consumer_ack_pending", "Messages delivered to any replica, not acknowledged yet"),
            redelivered: book
                .default("consumer_redelivered", "Messages delivered more than once, not acknowledged yet"),
            lag_seconds: book.default("consumer_lag_seconds", "Age of the newest message handed to this replica"),
            max_ack_pending: book
                .default("consumer_max_ack_pending", "Most messages delivered to all replicas, not acknowledged yet"),
            window_bytes: book.default("window_bytes", "Bytes of the deliveries that this replica holds"),
        }
    }
}

impl ValidationMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            accepted: book.default("events_accepted", "Valid events of the telemetry lane"),
            rejections: book.default("rejections", "Refused messages of all lanes"),
            replays: book.default("replays", "Messages with a replay's header, by whether it was an operator's"),
            timestamp_fallbacks: book.default("timestamp_fallbacks", "Events that got the broker's time"),
        }
    }
}

impl RegistryMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            cache_hits: book.default("registry_cache_hits", "Messages whose device was known"),
            cache_misses: book.default("registry_cache_misses", "Messages that waited for a look-up"),
            cache_entries: book.default("registry_cache_entries", "Devices held in memory"),
            lookups: book.default("registry_lookups", "Devices looked up"),
            lookup_seconds: book.seconds("registry_lookup_seconds", "One batch of look-ups"),
            invalidations: book.default("registry_invalidations", "Notified changes of devices, tenants, settings"),
            listening: book.default("registry_listening", "1 while changes are heard of as they happen"),
            provisioned: book.default("registry_provisioned", "Devices registered by auto-provisioning"),
        }
    }
}

impl PostgresMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            rows: book.default("postgres_rows", "Rows of raw_events committed"),
            duplicates_suppressed: book
                .default("postgres_duplicates_suppressed", "Redelivered messages whose row was there already"),
            flush_seconds: book.seconds("postgres_flush_seconds", "One batch from begin to commit"),
            flushes: book.default("postgres_flushes", "Attempts to write a batch"),
            buffered: book.default("postgres_buffered", "Deliveries waiting for a batch or in one"),
            quarantined: book.default("quarantine_events", "Rejected messages stored"),
            quarantine_capped: book.default("quarantine_capped", "Rejected messages counted only, over the cap"),
            quarantine_dropped: book.default("quarantine_dropped", "Rejected messages that can't even be counted"),
            rejections_of_stored_rows: book
                .default("rejections_of_stored_rows", "Redelivered messages rejected now, stored before"),
            shadow_reports: book.default("shadow_reports", "Valid shadow reports, by their effect"),
            command_acks: book.default("command_acks", "Valid command acknowledgements, by their effect"),
        }
    }
}

impl InfluxMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            lines: book.default("influx_lines", "Lines, by what became of them"),
            flush_seconds: book.seconds("influx_flush_seconds", "One request"),
            flushes: book.default("influx_flushes", "Requests"),
            unconfirmed_lines: book.default("influx_unconfirmed_lines", "Lines owed to InfluxDB"),
            buffered_lines: book.default("influx_buffered_lines", "Lines in the batchers' buffers"),
            replayed_lines: book.default("influx_replayed_lines", "Confirmed lines rebuilt from their rows"),
            vanished_lines: book
                .default("influx_vanished_lines", "Lines owed that can't be replayed: their rows are gone"),
            owed: book.collector(),
            batchers: book.default("influx_batchers", "Tenants with a batcher"),
            breakers_open: book.default("influx_breakers_open", "Tenants whose database does not take writes now"),
            limits: book.default("influx_limit_refusals", "What the server had no room for"),
            fields_skipped: book.default("influx_fields_skipped", "Metrics that no point can hold"),
            points_skipped: book.default("influx_points_skipped", "Events whose time no point can hold"),
        }
    }
}

/// The exposition while it is being filled.
struct Book(registry::Registry);

impl Book {
    fn enter<M: registry::Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn collector<C: Collector + Default>(&mut self) -> Arc<C>
    where
        Arc<C>: Collector,
    {
        let collector = Arc::new(C::default());
        self.0.register_collector(Box::new(collector.clone()));
        collector
    }

    fn default<M: registry::Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.enter(name, help, M::default())
    }

    /// From a millisecond to half a minute: what a write to a store takes, from idle to nearly timed out.
    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        self.enter(name, help, Histogram::new(bounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::label::Label;
    use crate::metrics::ledger::Ledger;

    fn sample(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn a_scrape_shows_every_lane_in_balance_from_the_start() {
        let metrics = Metrics::new();
        *metrics.ledgers.lane(Lane::Telemetry) = Ledger { received: 10, acked: 5, nacked: 2, termed: 1, in_flight: 2 };
        let text = metrics.open_metrics().unwrap();
        let of = |series: &str| sample(&text, series).unwrap_or_else(|| panic!("no {series} in\n{text}"));
        assert_eq!(of(r#"ingest_deliveries_received_total{consumer="ingest-workers"}"#), 10.0);
        assert_eq!(of(r#"ingest_deliveries_settled_total{consumer="ingest-workers",disposition="ack"}"#), 5.0);
        assert_eq!(of(r#"ingest_deliveries_settled_total{consumer="ingest-workers",disposition="nak"}"#), 2.0);
        assert_eq!(of(r#"ingest_deliveries_settled_total{consumer="ingest-workers",disposition="term"}"#), 1.0);
        assert_eq!(of(r#"ingest_in_flight{consumer="ingest-workers"}"#), 2.0);
        assert_eq!(of(r#"ingest_in_flight{consumer="ingest-commands"}"#), 0.0);
    }

    #[test]
    fn every_value_of_a_label_is_its_own_series_from_the_start() {
        let metrics = Metrics::new();
        metrics.validation.rejections.of(Reason::RateLimited).inc_by(3);
        metrics.validation.accepted.of(MsgKind::Heartbeat).inc_by(7);
        metrics.consumers.lag_seconds.of(Lane::Shadow).set(1.5);
        metrics.restarted("writer");
        let text = metrics.open_metrics().unwrap();
        for reason in Reason::ALL {
            let expected = if reason == Reason::RateLimited { 3.0 } else { 0.0 };
            assert_eq!(sample(&text, &format!("ingest_rejections_total{{reason=\"{reason}\"}}")), Some(expected));
        }
        assert_eq!(sample(&text, r#"ingest_events_accepted_total{msg_type="heartbeat"}"#), Some(7.0));
        assert_eq!(sample(&text, r#"ingest_consumer_lag_seconds{consumer="ingest-shadow"}"#), Some(1.5));
        assert_eq!(sample(&text, r#"ingest_actor_restarts_total{actor="writer"}"#), Some(1.0));
    }

    #[test]
    fn a_labels_value_sits_at_its_own_index() {
        fn check<L: Label>() {
            for (index, label) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), index, "{label:?}");
            }
        }
        check::<Lane>();
        check::<Reason>();
        check::<MsgKind>();
        check::<LineResult>();
    }

    #[test]
    fn the_stats_line_adds_up_what_the_rooms_counted() {
        let metrics = Metrics::new();
        *metrics.ledgers.lane(Lane::Shadow) = Ledger { received: 4, in_flight: 4, ..Ledger::default() };
        metrics.influx.lines.of(LineResult::Ok).inc_by(5);
        metrics.influx.lines.of(LineResult::Refused).inc_by(2);
        metrics.consumers.pending.of(Lane::Telemetry).set(9);
        let totals = metrics.totals();
        assert_eq!((totals.received, totals.influx_ok, totals.influx_err, totals.pending), (4, 5, 2, 9));
    }
}
