//! The server: an actor of the tree that starts it, and stops it when the tree drains.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpMessage, HttpResponse, HttpServer, web};
use deadpool_postgres::Pool;
use futures_util::stream::unfold;
use parking_lot::Mutex;
use slog::{error, info, warn};
use thiserror::Error;

use super::body::BodyReader;
use super::connections::{Connections, Peer};
use super::device::{Devices, commands, shadow};
use super::failure::Failure;
use super::limits::Limits;
use super::service::Service;
use super::tls::{Renewed, ServerTls};
use super::tls_error::TlsError;
use super::{Config, batch, ingest, openapi};
use crate::gateway::Streams;
use crate::gateway::gate::{Door, now_us};
use crate::gateway::publisher::StreamPublisher;
use crate::message::Drain;
use crate::metrics::RequestFault;
use crate::runtime::client_address::{ClientAddress, Networks};
use crate::runtime::signals::Hangup;
use crate::runtime::spawn::SpawnContext;
use ingest_core::http::{Network, client_address};

/// Connections that stand still are looked for, and progress is reported, so often.
const TICK: Duration = Duration::from_secs(1);
/// In a drain, connections without a request are ended this often.
const DRAIN_IDLE: Duration = Duration::from_secs(1);
/// The server's own end of a drain, before the tree's.
const DRAIN_RESERVE_SECS: u64 = 2;
/// Certificates are read again so often, and on SIGHUP.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
/// Where proxies say whom they have a request from.
const FORWARDED_FOR: &str = "X-Forwarded-For";

/// Why a server can't start; one sentence that names the setting.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// The address can't be had.
    #[error("INGEST_HTTP_BIND {address} can't be listened on: {why}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        why: std::io::Error,
    },
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Where the server listens, through all generations of the tree: what arrives between two waits.
#[derive(Clone)]
pub(crate) struct Listener {
    socket: Arc<Mutex<Option<TcpListener>>>,
    tls: Option<ServerTls>,
    address: SocketAddr,
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// It can't; the settings say why.
    pub(crate) fn bind(config: &Config) -> Result<Self, ListenError> {
        let tls = ServerTls::new(config)?;
        let refused = |why| ListenError::Address { address: config.bind, why };
        let socket = TcpListener::bind(config.bind).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket: Arc::new(Mutex::new(Some(socket))), tls, address })
    }

    /// Where.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether TLS is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn socket(&self) -> std::io::Result<TcpListener> {
        let socket = self.socket.lock();
        socket.as_ref().ok_or_else(|| std::io::Error::other("the gateway drains"))?.try_clone()
    }

    /// Listens no more.
    fn close(&self) {
        self.socket.lock().take();
    }
}

/// The routes of another component.
pub(crate) struct Further {
    /// Adds them to a worker of the server.
    pub routes: Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>,
    /// Describes them.
    pub document: utoipa::openapi::OpenApi,
}

/// What a server is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[gateway_http]` settings.
    pub config: Config,
    /// Where it listens.
    pub listener: Listener,
    /// Decides messages.
    pub door: Door,
    /// Sends what has passed.
    pub publisher: StreamPublisher,
    /// Whether the streams take messages.
    pub streams: Arc<Streams>,
    /// What devices read.
    pub pool: Pool,
    /// The activation of devices, behind the same limits.
    pub further: Further,
    /// How long requests in flight may take at the end.
    pub drain_secs: u64,
}

/// Serves devices over HTTP, on threads of its own.
pub(crate) struct IngestServer {
    spawn: SpawnContext,
    config: Config,
    listener: Listener,
    further: Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>,
    drain_secs: u64,
    service: web::Data<Service>,
    connections: Arc<Connections>,
    handle: Option<ServerHandle>,
    refused: Option<TlsError>,
}

impl IngestServer {
    /// A server that does not serve yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, config, listener, door, publisher, streams, pool, further, drain_secs } = parts;
        let metrics = spawn.metrics.gateway.clone();
        let service = Service {
            devices: Devices::new(door.clone(), pool, config.readers, spawn.log.clone()),
            door,
            bodies: BodyReader::new(&config),
            limits: Limits::new(&config),
            document: openapi::text(further.document),
            trusted_proxies: config.trusted_proxies.clone(),
            publisher,
            streams,
            metrics: metrics.clone(),
            log: spawn.log.clone(),
            logged: Service::nothing_logged(),
        };
        Self {
            connections: Connections::new(config.connections, metrics),
            service: web::Data::new(service),
            spawn,
            config,
            listener,
            further: further.routes,
            drain_secs,
            handle: None,
            refused: None,
        }
    }

    fn serve(&mut self) -> std::io::Result<()> {
        let (service, connections, further) = (self.service.clone(), self.connections.clone(), self.further.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(service.clone())
                .wrap(from_fn(enter))
                .configure(routes)
                .configure(|app| further(app))
                .default_service(web::to(nowhere))
        })
        .on_connect(move |connection, data| connections.admit(connection, data))
        .workers(self.workers())
        .max_connections(2 * self.config.connections)
        .client_request_timeout(Duration::from_secs(self.config.head_timeout_secs))
        .keep_alive(Duration::from_secs(self.config.keep_alive_secs))
        .shutdown_timeout(self.drain_secs.saturating_sub(DRAIN_RESERVE_SECS).max(1))
        // The supervisor handles SIGTERM.
        .disable_signals();
        let socket = self.listener.socket()?;
        let server = match &self.listener.tls {
            None => server.listen(socket)?,
            Some(tls) => server.listen_rustls_0_23(socket, tls.config.clone())?,
        };
        let server = server.run();
        self.handle = Some(server.handle());
        actix_rt::spawn(server);
        Ok(())
    }

    fn workers(&self) -> usize {
        match self.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    fn read_certificates_again(&mut self) {
        let Some(tls) = &self.listener.tls else { return };
        let refused = match tls.read_again() {
            Ok(Renewed { certificate, client_authority }) => {
                if certificate {
                    info!(self.spawn.log, "the server's certificate was renewed");
                }
                if client_authority {
                    info!(self.spawn.log, "the authority of clients was renewed");
                }
                None
            }
            Err(error) => Some(error),
        };
        if let Some(error) = refused.as_ref().filter(|error| self.refused.as_ref() != Some(error)) {
            warn!(self.spawn.log, "a certificate can't be read again; the one in force stays"; "error" => %error);
        }
        self.refused = refused;
    }
}

/// The routes. Each needs an entry in [`openapi`], too.
fn routes(app: &mut web::ServiceConfig) {
    app.service(web::resource("/ingest/v1/tenant/{tenant}/device/{device}/{type}").post(ingest::single))
        .service(web::resource("/ingest/v1/batch").post(batch::batch))
        .service(web::resource("/device/v1/shadow").get(shadow::desired))
        .service(web::resource("/device/v1/shadow/reported").post(shadow::report))
        .service(web::resource("/device/v1/commands/pending").get(commands::pending))
        .service(web::resource("/device/v1/commands/{id}/ack").post(commands::acknowledge))
        .service(web::resource("/openapi.json").get(openapi::show));
}

/// Before every route: the limits, and the connection's activity.
async fn enter(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let _answering = request.conn_data::<Peer>().map(Peer::answering);
    let Some(service) = request.app_data::<web::Data<Service>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let trusted = service.trusted_proxies.as_ref().map_or(&[] as &[Network], Networks::list);
    let address = request.peer_addr().map(|peer| {
        let lines: Vec<&[u8]> = request.headers().get_all(FORWARDED_FOR).map(|line| line.as_bytes()).collect();
        client_address(peer.ip(), lines.into_iter(), trusted)
    });
    if let Some(address) = address {
        request.extensions_mut().insert(ClientAddress(address));
    }
    match service.limits.admit(address, now_us()) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(limit) => {
            let answer = service.answer(Err(limit.into()));
            Ok(request.into_response(answer).map_into_right_body())
        }
    }
}

async fn nowhere(service: web::Data<Service>) -> HttpResponse {
    service.answer(Err(Failure::request(RequestFault::NotFound, "no such path; /openapi.json lists them")))
}

impl Actor for IngestServer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns.
        self.spawn.actor_guard.busy(true);
        if let Err(why) = self.serve() {
            error!(self.spawn.log, "the server can't start"; "error" => %why);
            return ctx.stop();
        }
        ctx.run_interval(TICK, |server, _| {
            server.connections.close_idle(server.config.longest_idle());
            server.spawn.actor_guard.progress();
        });
        ctx.run_interval(CERTIFICATES_EVERY, |server, _| server.read_certificates_again());
        ctx.add_stream(unfold(Hangup::listen(), async |mut hangup| {
            hangup.next().await;
            Some((ReadAgain, hangup))
        }));
    }
}

/// SIGHUP: files may have changed.
struct ReadAgain;

impl StreamHandler<ReadAgain> for IngestServer {
    fn handle(&mut self, _: ReadAgain, _: &mut Self::Context) {
        self.read_certificates_again();
    }

    /// As long as the process runs there may be another one.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for IngestServer {
    type Result = ResponseFuture<()>;

    /// No new connection, and an answer to every request that has come.
    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.listener.close();
        // The server ends idle connections of HTTP/1 by itself; whoever keeps another one open holds up nothing.
        ctx.run_interval(DRAIN_IDLE, |server, _| server.connections.close_idle(Duration::ZERO));
        let stopped = self.handle.as_ref().map(|handle| handle.stop(true));
        Box::pin(async move {
            if let Some(stopped) = stopped {
                stopped.await;
            }
        })
    }
}
