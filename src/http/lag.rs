//! `/lag`: what an autoscaler needs, and nothing that is not known.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::delivery::Lane;
use crate::metrics::{BrokerReport, FiguresUnknown, Metrics};
use crate::runtime::readiness::{Condition, Readiness};
use ingest_core::flow::lag::replicas_useful;

/// What `/ready` shows as PostgreSQL's, and its schema.
const POSTGRES: [Condition; 5] =
    [Condition::Postgres, Condition::Registry, Condition::Writable, Condition::PointQuarantine, Condition::Schema];

/// Every lane's lag by the broker's figures; 503 with the reasons where one lane's are not known.
pub(super) async fn show(metrics: web::Data<Metrics>, readiness: web::Data<Readiness>) -> HttpResponse {
    let now = Instant::now();
    let broker = &metrics.consumers.broker;
    let reports: Vec<_> = broker.lanes().iter().map(|lane| (lane, broker.of(lane, now))).collect();
    let reasons: Vec<String> = reports
        .iter()
        .filter_map(|(lane, report)| Some(format!("{}: {}", lane.consumer(), describe(report.as_ref().err()?))))
        .collect();
    if !reasons.is_empty() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "unknown", "reasons": reasons}));
    }
    let known: Vec<(Lane, BrokerReport)> =
        reports.into_iter().filter_map(|(lane, report)| Some((lane, report.ok()?))).collect();
    let is_postgres_up = POSTGRES.into_iter().all(|condition| readiness.holds(condition));
    let consumers: Map<String, Value> =
        known.iter().map(|(lane, report)| (lane.consumer().to_owned(), lag(report, is_postgres_up, now))).collect();
    let telemetry = known.iter().find(|(lane, _)| *lane == Lane::TELEMETRY);
    let replicas = telemetry.and_then(|(_, report)| replicas_useful(report.figures.max_ack_pending, report.window));
    let age = known.iter().map(|(_, report)| report.age(now)).max().unwrap_or_default();
    HttpResponse::Ok().json(json!({
        "consumers": consumers,
        "replicas_useful": replicas,
        "as_of": (OffsetDateTime::now_utc() - age).format(&Rfc3339).ok(),
    }))
}

fn lag(report: &BrokerReport, is_postgres_up: bool, now: Instant) -> Value {
    let figures = &report.figures;
    json!({
        "messages": figures.messages(),
        "seconds": report.seconds(now),
        "scalable": figures.scalable(is_postgres_up),
    })
}

fn describe(unknown: &FiguresUnknown) -> String {
    match unknown {
        FiguresUnknown::NotBound => "the consumer is missing, or not bound yet".to_owned(),
        FiguresUnknown::Stale(age) => format!("the broker's last answer is {} s old", age.as_secs()),
    }
}
