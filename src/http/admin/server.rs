//! The admin listener: a thread and connections of its own, so that administration never delays a probe, nor a probe it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, web};
use slog::Logger;

use super::Config;
use super::key::{KeyGuard, LogInPage, require_key};
use super::log_in::{LOG_IN, LOG_OUT, log_in, log_out};
use super::sessions::CONSOLE;
use crate::metrics::{AdminRequests, Endpoint};
use crate::runtime::listener::listen;
use crate::runtime::problem::problem;

/// What is served, and to whom.
pub(crate) struct Parts<Open, Keyed> {
    /// The `[admin]` settings.
    pub config: Config,
    /// Counts the requests.
    pub requests: Arc<AdminRequests>,
    /// Component `admin`.
    pub log: Logger,
    /// Adds what needs no key.
    pub open: Open,
    /// Adds what needs the key.
    pub keyed: Keyed,
    /// What a browser is shown that opens the console without the key.
    pub log_in_page: LogInPage,
}

/// Starts serving on the current system; returns the bound address.
///
/// # Errors
/// A message that names the setting, where the address can't be bound.
pub(crate) fn start<Open, Keyed>(parts: Parts<Open, Keyed>) -> io::Result<(SocketAddr, ServerHandle)>
where
    Open: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    Keyed: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let Parts { config, requests, log, open, keyed, log_in_page } = parts;
    let (guard, requests) = (web::Data::new(KeyGuard::new(config.key, log_in_page, log)), web::Data::from(requests));
    listen(("ADMIN_BIND", config.bind), move |app| {
        // Whatever has no resource needs the key, too: strangers learn of nothing that is there.
        let keyed =
            web::scope("").wrap(from_fn(require_key)).configure(keyed.clone()).default_service(web::to(nothing_here));
        let counted = web::scope("")
            .wrap(from_fn(count))
            .route(LOG_IN, web::post().to(log_in))
            .route(LOG_OUT, web::post().to(log_out))
            .configure(open.clone())
            .service(keyed);
        app.app_data(guard.clone()).app_data(requests.clone()).service(counted);
    })
}

async fn nothing_here() -> HttpResponse {
    problem(StatusCode::NOT_FOUND, "not_found", "nothing is served under this path and method")
}

/// Counts an answer under what was asked for.
async fn count(
    requests: web::Data<AdminRequests>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let request = response.request();
    let endpoint = endpoint(request.match_pattern().as_deref(), request.method());
    requests.count(endpoint, response.status().as_u16());
    Ok(response)
}

fn endpoint(pattern: Option<&str>, method: &Method) -> Endpoint {
    match pattern {
        Some("/api/admin/devices") if *method == Method::POST => Endpoint::Register,
        Some("/api/admin/devices") => Endpoint::List,
        Some("/api/admin/devices/{tenant_id}/{device_id}/revoke") => Endpoint::Revoke,
        Some("/api/admin/devices/{tenant_id}/{device_id}/rotate-token") => Endpoint::RotateToken,
        Some("/api/device/activate") => Endpoint::Activate,
        Some("/actors") => Endpoint::Actors,
        Some(CONSOLE) => Endpoint::Console,
        Some("/console/events") => Endpoint::Events,
        Some(LOG_IN) => Endpoint::LogIn,
        Some("/tap") => Endpoint::Tap,
        _ => Endpoint::Other,
    }
}
