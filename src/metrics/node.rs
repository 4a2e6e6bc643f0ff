//! All metrics of the node.
//!
//! Components add whole chunks at a time (`inc_by`), never single events. All names start with `ingest_`; counters end in
//! `_total`. docs/metrics.md lists them, and a test keeps that list complete.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::actors::Actors;
use super::admin::AdminRequests;
use super::console::ConsoleMetrics;
use super::consumer::ConsumerMetrics;
use super::counted::Counted;
use super::exposition::Exposition;
use super::figure_source::FigureSource;
use super::gateway::GatewayMetrics;
use super::health::Health;
use super::influx::InfluxMetrics;
use super::label::LineResult;
use super::ledger::Ledgers;
use super::mqtt::MqttMetrics;
use super::nats::NatsMetrics;
use super::nats_mqtt::NatsMqttMessages;
use super::postgres::PostgresMetrics;
use super::registry::RegistryMetrics;
use super::retention::RetentionMetrics;
use super::routes::RouteMetrics;
use super::state::StateMetrics;
use super::validation::ValidationMetrics;
use crate::delivery::Lanes;

/// All metrics, one field per component; typed handles that any thread may use.
#[derive(Debug)]
pub struct Metrics {
    /// Whether the node is ready and which of its components work.
    pub health: Arc<FigureSource<Health>>,
    /// How many deliveries each lane received, settled and holds.
    pub ledgers: Arc<Ledgers>,
    /// The consumers as the broker reports them.
    pub consumers: ConsumerMetrics,
    /// Accepted and rejected messages.
    pub validation: ValidationMetrics,
    /// Device look-ups and their caches.
    pub registry: RegistryMetrics,
    /// Transactions in PostgreSQL.
    pub postgres: PostgresMetrics,
    /// Lines to InfluxDB.
    pub influx: InfluxMetrics,
    /// Route jobs.
    pub routes: RouteMetrics,
    /// Derived state.
    pub state: StateMetrics,
    /// Old rows that are dropped.
    pub retention: RetentionMetrics,
    /// Messages of MQTT clients of nats-server.
    pub nats_mqtt: Arc<NatsMqttMessages>,
    /// The NATS connections.
    pub nats: NatsMetrics,
    /// Requests to the admin listener.
    pub admin: Arc<AdminRequests>,
    /// Who watches the console.
    pub console: ConsoleMetrics,
    /// The gateway's ways in.
    pub(crate) gateway: Arc<GatewayMetrics>,
    /// The gateway's session at the MQTT broker.
    pub(crate) mqtt: MqttMetrics,
    /// `ingest_log_lines_dropped_total`: lines that the log had no room for, as nobody read it fast enough.
    pub log_lines_dropped: Arc<Counted>,
    /// The actors, by their roles.
    pub actors: Arc<Actors>,
    exposition: Exposition,
}

/// Whose metrics scrapes show.
#[derive(Clone, Copy)]
struct Shown {
    run: bool,
    gateway: bool,
}

/// The sums of the periodic `stats` log line and of `/stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names are those of the log line
pub struct Totals {
    pub received: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub influx_ok: u64,
    /// Lines that were not written: by a write that failed, once for each, or for good.
    pub influx_err: u64,
    pub influx_flushes: u64,
    pub influx_buffer: i64,
    /// Not known while one consumer's figures are not.
    pub pending: Option<u64>,
}

impl Metrics {
    /// All metrics at zero, of a node that runs the lanes that every node runs.
    pub fn new() -> Arc<Self> {
        Self::of(Lanes::default())
    }

    /// All metrics at zero, of a node that runs these lanes. Scrapes do not show what is the gateway's alone.
    pub fn of(lanes: Lanes) -> Arc<Self> {
        Self::shown(lanes, Shown { run: true, gateway: false })
    }

    /// All metrics at zero, of a gateway. Scrapes do not show what is `run`'s alone.
    pub(crate) fn of_gateway() -> Arc<Self> {
        Self::shown(Lanes::default(), Shown { run: false, gateway: true })
    }

    /// All metrics at zero, all of them shown, for the documentation.
    #[cfg(test)]
    pub(super) fn of_all(lanes: Lanes) -> Arc<Self> {
        Self::shown(lanes, Shown { run: true, gateway: true })
    }

    fn shown(lanes: Lanes, shown: Shown) -> Arc<Self> {
        let mut exposition = Exposition::new();
        let health = exposition.collector();
        let registry = RegistryMetrics::new(&mut exposition);
        let postgres = PostgresMetrics::new(&mut exposition);
        let nats = NatsMetrics::new(&mut exposition);
        let log_lines_dropped = exposition
            .counted("log_lines_dropped", "Log lines that found no room, as the log was not read fast enough.");
        let actors = exposition.collector();
        exposition.shows(shown.run);
        let ledgers = exposition.collect(Ledgers::new(lanes));
        let consumers = ConsumerMetrics::new(&mut exposition, lanes);
        let validation = ValidationMetrics::new(&mut exposition);
        let influx = InfluxMetrics::new(&mut exposition);
        let routes = RouteMetrics::new(&mut exposition);
        let state = StateMetrics::new(&mut exposition);
        let retention = RetentionMetrics::new(&mut exposition);
        let nats_mqtt = exposition.collect(NatsMqttMessages::new(lanes));
        let admin = exposition.collector();
        let console = ConsoleMetrics::new(&mut exposition);
        exposition.shows(shown.gateway);
        let gateway = Arc::new(GatewayMetrics::new(&mut exposition));
        let mqtt = MqttMetrics::new(&mut exposition);
        Arc::new(Self {
            health,
            ledgers,
            consumers,
            validation,
            registry,
            postgres,
            influx,
            routes,
            state,
            retention,
            nats_mqtt,
            nats,
            admin,
            console,
            gateway,
            mqtt,
            log_lines_dropped,
            actors,
            exposition,
        })
    }

    /// The sums over all lanes and components.
    pub fn totals(&self) -> Totals {
        let influx = &self.influx;
        Totals {
            received: self.ledgers.read().iter().map(|(_, ledger)| ledger.received).sum(),
            accepted: self.validation.accepted.total(),
            rejected: self.validation.rejections.total(),
            influx_ok: influx.lines.of(LineResult::Ok).get(),
            influx_err: influx.failed_lines.get() + influx.lines.total() - influx.lines.of(LineResult::Ok).get(),
            influx_flushes: influx.flushes.total(),
            influx_buffer: influx.buffered_lines.get(),
            pending: self.consumers.broker.pending(Instant::now()),
        }
    }

    /// The OpenMetrics text of a scrape.
    ///
    /// # Errors
    /// None in practice: only a failing writer fails, and a `String` does not.
    pub fn open_metrics(&self) -> Result<String, fmt::Error> {
        self.exposition.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Lane;
    use crate::metrics::label::{Label, MsgKind};
    use crate::metrics::ledger::Ledger;
    use ingest_core::message::rejection::Reason;

    fn sample(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn a_scrape_shows_every_lane_in_balance_from_the_start() {
        let metrics = Metrics::new();
        *metrics.ledgers.lane(Lane::TELEMETRY) = Ledger { received: 10, acked: 5, nacked: 2, termed: 1, in_flight: 2 };
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
    fn a_scrape_shows_what_its_command_has_and_no_other() {
        let (run, gateway) = (Metrics::new(), Metrics::of_gateway());
        run.gateway.http_connections.set(1);
        let (run, gateway) = (run.open_metrics().unwrap(), gateway.open_metrics().unwrap());
        for both in ["ingest_registry_cache_hits_total ", "ingest_postgres_errors_total{", "ingest_nats_reconnects"] {
            assert!(run.contains(both) && gateway.contains(both), "{both}");
        }
        for of_run in ["ingest_deliveries_received_total", "ingest_influx_lines_total", "ingest_admin_requests_total"] {
            assert!(run.contains(of_run) && !gateway.contains(of_run), "{of_run}");
        }
        assert!(!run.contains("ingest_gateway_") && gateway.contains("ingest_gateway_mqtt_received_total"));
    }

    #[test]
    fn every_value_of_a_label_is_its_own_series_from_the_start() {
        let metrics = Metrics::new();
        metrics.validation.rejections.of(Reason::RateLimited).inc_by(3);
        metrics.validation.accepted.of(MsgKind::Heartbeat).inc_by(7);
        metrics.actors.restarted("writer");
        let text = metrics.open_metrics().unwrap();
        for reason in Reason::ALL {
            let expected = if reason == Reason::RateLimited { 3.0 } else { 0.0 };
            assert_eq!(sample(&text, &format!("ingest_rejections_total{{reason=\"{reason}\"}}")), Some(expected));
        }
        assert_eq!(sample(&text, r#"ingest_events_accepted_total{msg_type="heartbeat"}"#), Some(7.0));
        assert_eq!(sample(&text, r#"ingest_actor_restarts_total{actor="writer"}"#), Some(1.0));
    }

    #[test]
    fn a_labels_value_sits_at_its_own_index() {
        fn check<L: Label>() {
            for (index, label) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), index, "{label:?}");
            }
        }
        check::<Reason>();
        check::<MsgKind>();
        check::<LineResult>();
    }

    #[test]
    fn the_stats_line_adds_up_what_the_components_counted() {
        let metrics = Metrics::new();
        *metrics.ledgers.lane(Lane::SHADOW) = Ledger { received: 4, in_flight: 4, ..Ledger::default() };
        metrics.influx.lines.of(LineResult::Ok).inc_by(5);
        metrics.influx.lines.of(LineResult::Refused).inc_by(2);
        metrics.influx.failed_lines.inc_by(7);
        let totals = metrics.totals();
        assert_eq!((totals.received, totals.influx_ok, totals.influx_err, totals.pending), (4, 5, 9, None));
    }
}
