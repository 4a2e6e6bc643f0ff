//! `/health` and `/ready`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::runtime::readiness::Readiness;

/// 200 while the actor tree runs, through any outage; 503 where it stands still: Kubernetes restarts the pod.
pub(super) async fn readiness(readiness: web::Data<Readiness>) -> HttpResponse {
    if readiness.alive() {
        HttpResponse::Ok().json(json!({"status": "alive"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "dead", "reasons": ["actors: no sign of life"]}))
    }
}

/// 200 while everything works that the node needs; otherwise 503 and every reason. Notes never affect the status.
pub(super) async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let notes = readiness.notes();
    match readiness.ready() {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready", "reasons": [], "notes": notes})),
        Err(reasons) => {
            HttpResponse::ServiceUnavailable().json(json!({"status": "not_ready", "reasons": reasons, "notes": notes}))
        }
    }
}
