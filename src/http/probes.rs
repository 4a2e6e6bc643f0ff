//! `/health` and `/ready`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::runtime::readiness::Readiness;

/// 200 while the actor tree runs, through any outage; 503 where it stands still: Kubernetes restarts the pod.
pub(super) async fn health(health: web::Data<Readiness>) -> HttpResponse {
    if health.alive() {
        HttpResponse::Ok().json(json!({"status": "alive"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "dead", "reasons": ["actors: no sign of life"]}))
    }
}

/// 200 while everything works that the node needs; otherwise 503 and every reason. Notes never affect the status.
pub(super) async fn ready(health: web::Data<Readiness>) -> HttpResponse {
    let notes = health.notes();
    match health.ready() {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready", "reasons": [], "notes": notes})),
        Err(reasons) => {
            HttpResponse::ServiceUnavailable().json(json!({"status": "not_ready", "reasons": reasons, "notes": notes}))
        }
    }
}
