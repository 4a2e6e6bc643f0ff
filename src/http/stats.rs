//! `/stats`: the node's state as JSON, for people and scripts.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::stats::Stats;

/// Totals, each lane's ledger with the broker's figures of its consumer, and each component's statistics.
pub(super) async fn show(metrics: web::Data<Metrics>, stats: web::Data<Stats>) -> HttpResponse {
    let consumers: Map<String, Value> =
        Lane::ALL.into_iter().map(|lane| (lane.consumer().to_owned(), consumer(&metrics, lane))).collect();
    HttpResponse::Ok().json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "totals": metrics.totals(),
        "consumers": consumers,
        "actors": stats.collect(),
    }))
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
