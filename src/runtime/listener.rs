//! A listener for operators and probes: a thread of its own, one request per connection, and bounds on every connection, so that slow
//! or many clients block nobody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::KeepAlive;
use actix_web::{App, HttpServer, web};

use super::connections::Connections;

/// Timeout of a request's head: every legitimate one fits into a packet. Bodies have one of their own where they are read.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections that actix serves before others wait. Not reached, as [`Connections`] keeps fewer; those that it closes take
/// a moment to end.
const MAX_CONNECTIONS: usize = 1_024;

/// Starts serving on the current system what `routes` adds; returns the bound address.
///
/// # Errors
/// A message that names the setting of the address, where it can't be bound.
pub(crate) fn listen(
    (setting, bind): (&str, SocketAddr),
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<(SocketAddr, ServerHandle)> {
    let connections = Arc::<Connections>::default();
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .workers(1)
        .on_connect(move |connection, data| connections.admit(connection, data))
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(HEAD_TIMEOUT)
        // Requests are seconds apart, and an idle connection would take a slot.
        .keep_alive(KeepAlive::Disabled)
        .shutdown_timeout(1)
        // The supervisor handles SIGTERM.
        .disable_signals()
        .bind(bind)
        .map_err(|error| io::Error::new(error.kind(), format!("{setting} {bind} can't be listened on: {error}")))?;
    let address = server.addrs().first().copied().unwrap_or(bind);
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((address, handle))
}
