//! The admin listener: a thread and connections of its own, so that administration never delays a probe, nor a probe it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::{KeepAlive, Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use slog::Logger;

use super::Config;
use super::key::{KeyGuard, LogInPage, require_key};
use super::log_in::{LOG_IN, LOG_OUT, log_in, log_out};
use super::sessions::CONSOLE;
use crate::metrics::{AdminRequests, Endpoint};
use crate::runtime::connections::Connections;
use crate::runtime::problem::problem;

/// Timeout of a request's head; bodies have one of their own where they are read.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections that actix serves before others wait; [`Connections`] keeps fewer.
const MAX_CONNECTIONS: usize = 1_024;

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
    let connections = Arc::<Connections>::default();
    let server = HttpServer::new(move || {
        // Whatever has no resource needs the key, too: strangers learn of nothing that is there.
        let keyed =
            web::scope("").wrap(from_fn(require_key)).configure(keyed.clone()).default_service(web::to(nothing_here));
        App::new()
            .app_data(guard.clone())
            .app_data(requests.clone())
            .wrap(from_fn(count))
            .route(LOG_IN, web::post().to(log_in))
            .route(LOG_OUT, web::post().to(log_out))
            .configure(open.clone())
            .service(keyed)
    })
    .workers(1)
    .on_connect(move |connection, data| connections.admit(connection, data))
    .max_connections(MAX_CONNECTIONS)
    .client_request_timeout(HEAD_TIMEOUT)
    // One request per connection: an idle one would take a slot.
    .keep_alive(KeepAlive::Disabled)
    .shutdown_timeout(1)
    // The supervisor handles SIGTERM.
    .disable_signals()
    .bind(config.bind)
    .map_err(|error| {
        io::Error::new(error.kind(), format!("ADMIN_BIND {} can't be listened on: {error}", config.bind))
    })?;
    let address = server.addrs().first().copied().unwrap_or(config.bind);
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((address, handle))
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
