//! `/health` and `/ready`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::runtime::readiness::Readiness;

/// Liveness: 200 while the actor tree runs, also during outages; 503 when it has stalled, so that Kubernetes restarts the
/// pod.
pub(super) async fn health(readiness: web::Data<Readiness>) -> HttpResponse {
    if readiness.alive() {
        HttpResponse::Ok().json(json!({"status": "alive"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "dead", "reasons": ["actors: no heartbeat"]}))
    }
}

/// Readiness: 200 while all conditions hold; otherwise 503 and every reason. Messages (`notes`) never affect the status.
pub(super) async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let messages = readiness.messages();
    match readiness.ready() {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready", "reasons": [], "notes": messages})),
        Err(reasons) => HttpResponse::ServiceUnavailable()
            .json(json!({"status": "not_ready", "reasons": reasons, "notes": messages})),
    }
}
