//! `/stats`: the node's state as JSON, for people and scripts.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::readiness::Readiness;
use crate::runtime::stats::Stats;

/// Whether the node is ready, with the reasons and notes of `/ready`; totals; each lane's ledger with the broker's figures of its
/// consumer; each component's statistics.
pub(super) async fn show(
    readiness: web::Data<Readiness>,
    metrics: web::Data<Metrics>,
    stats: web::Data<Stats>,
) -> HttpResponse {
    let now = Instant::now();
    let lanes = metrics.consumers.broker.lanes();
    let consumers: Map<String, Value> =
        lanes.iter().map(|lane| (lane.consumer().to_owned(), consumer(&metrics, lane, now))).collect();
    let ready = readiness.ready();
    HttpResponse::Ok().json(json!({
        "ready": ready.is_ok(),
        "reasons": ready.err().unwrap_or_default(),
        "notes": readiness.messages(),
        "version": env!("CARGO_PKG_VERSION"),
        "totals": metrics.totals(),
        "consumers": consumers,
        "actors": actors(&metrics, &stats),
    }))
}

/// Every role of the tree, and what components tell of themselves: of its own role, or under a name of its own.
fn actors(metrics: &Metrics, stats: &Stats) -> Map<String, Value> {
    let mut actors: Map<String, Value> =
        metrics.actors.figures().iter().map(|(role, figures)| ((*role).to_owned(), json!(figures))).collect();
    for (name, details) in stats.collect() {
        match (actors.get_mut(&name), details) {
            (Some(Value::Object(figures)), Value::Object(details)) => figures.extend(details),
            (_, details) => drop(actors.insert(name, details)),
        }
    }
    actors
}

/// The broker's figures are `null` while they are not known.
fn consumer(metrics: &Metrics, lane: Lane, now: Instant) -> Value {
    let ledger = *metrics.ledgers.lane(lane);
    let broker = &metrics.consumers.broker;
    let report = broker.of(lane, now).ok();
    let figures = report.map(|report| report.figures);
    json!({
        "received": ledger.received,
        "acked": ledger.acked,
        "nacked": ledger.nacked,
        "termed": ledger.termed,
        "in_flight": ledger.in_flight,
        "pending": figures.map(|figures| figures.pending),
        "ack_pending": figures.map(|figures| figures.ack_pending),
        "redelivered": figures.map(|figures| figures.redelivered),
        "max_ack_pending": figures.map(|figures| figures.max_ack_pending),
        "ack_floor": figures.map(|figures| figures.ack_floor),
        "lag_seconds": report.and_then(|report| report.seconds(now)),
        "info_age_seconds": broker.info_age(lane, now).map(|age| age.as_secs_f64()),
    })
}
