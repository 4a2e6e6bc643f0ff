//! `/stats`: the node's state as JSON, for people and scripts.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::readiness::Readiness;
use crate::runtime::stats::Stats;

/// Whether the node is ready, totals, each lane's ledger with the broker's figures of its consumer, and each component's statistics.
pub(super) async fn show(
    readiness: web::Data<Readiness>,
    metrics: web::Data<Metrics>,
    stats: web::Data<Stats>,
) -> HttpResponse {
    let consumers: Map<String, Value> =
        Lane::ALL.into_iter().map(|lane| (lane.consumer().to_owned(), consumer(&metrics, lane))).collect();
    let ready = readiness.ready();
    HttpResponse::Ok().json(json!({
        "ready": ready.is_ok(),
        "reasons": ready.err().unwrap_or_default(),
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

fn consumer(metrics: &Metrics, lane: Lane) -> Value {
    let ledger = *metrics.ledgers.lane(lane);
    let broker = &metrics.consumers;
    json!({
        "received": ledger.received,
        "acked": ledger.acked,
        "nacked": ledger.nacked,
        "termed": ledger.termed,
        "in_flight": ledger.in_flight,
        "pending": broker.pending.of(lane).get(),
        "ack_pending": broker.ack_pending.of(lane).get(),
        "redelivered": broker.redelivered.of(lane).get(),
        "lag_seconds": broker.lag_seconds.of(lane).get(),
    })
}
