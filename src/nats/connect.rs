//! Connects to NATS, and records what happens to the connection.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{AuthError, Client, ConnectErrorKind, ConnectOptions, Event, Server, ServerError};
use parking_lot::Mutex;
use slog::{Logger, debug, info, warn};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};

use super::config::Config;
use super::login::{self, LoginError};
use super::permissions::Permissions;
use crate::runtime::exit::Exit;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::{Condition, Readiness};
use crate::runtime::tls::{TlsFiles, advice, without_clock};

/// Longest attempt at one server.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Failures of one outage that are logged: a handful of servers fails in a handful of ways.
const MAX_LOGGED: usize = 16;

/// What records the events of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observers {
    /// Readiness, with one connection only: two would overwrite each other's condition.
    pub readiness: Option<Arc<Readiness>>,
    /// Permission violations.
    pub permissions: Option<Arc<Permissions>>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// The settings can't work.
    #[error(transparent)]
    Settings(#[from] LoginError),
    /// Nothing came back within the bound, in seconds.
    #[error("NATS did not answer within {0} s")]
    Silent(u64),
    /// There was no connection within the bound.
    #[error("no connection to NATS within {secs} s: {last}")]
    Away {
        /// The bound.
        secs: u64,
        /// How the last attempt failed.
        last: String,
    },
}

impl ConnectError {
    /// How the process ends with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Config,
            Self::Silent(_) | Self::Away { .. } => Exit::Unavailable,
        }
    }
}

/// Connects within `start_wait_secs`. From then on the client reconnects by itself without limit.
///
/// # Errors
/// When the settings can't work, or there was no connection in time.
pub(crate) async fn connect(
    config: &Config,
    name: &str,
    observers: Observers,
    log: &Logger,
) -> Result<Client, ConnectError> {
    if let Some(error) = login::problems(config).into_iter().next() {
        return Err(error.into());
    }
    let deadline = Instant::now() + config.start_wait();
    let mut delay = Duration::from_millis(100);
    loop {
        let last = match timeout_at(deadline, attempt(config, name, observers.clone(), log)).await {
            Ok(Ok(client)) => {
                if let Some(readiness) = &observers.readiness {
                    readiness.up(Condition::Nats);
                }
                return Ok(client);
            }
            Ok(Err(AttemptError::Settings(error))) => return Err(ConnectError::Settings(error)),
            Ok(Err(AttemptError::Refused(why))) => why,
            Err(_) => return Err(ConnectError::Silent(config.start_wait_secs)),
        };
        if Instant::now() + delay >= deadline {
            return Err(ConnectError::Away { secs: config.start_wait_secs, last });
        }
        info!(log, "waiting for nats"; "error" => last);
        sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(2));
    }
}

/// Why one attempt failed.
#[derive(Debug, Error)]
pub(crate) enum AttemptError {
    /// The settings can't work.
    #[error(transparent)]
    Settings(#[from] LoginError),
    /// No server can be reached, or lets the node in: the whole error, with what to do where that is known.
    #[error("{0}")]
    Refused(String),
}

/// Tries each server once.
///
/// # Errors
/// When the settings can't work, or no server lets the node in.
pub(crate) async fn attempt(
    config: &Config,
    name: &str,
    observers: Observers,
    log: &Logger,
) -> Result<Client, AttemptError> {
    let servers = login::servers(config)?;
    let options = options(config, name, observers, log.clone())?;
    options.connect(&servers).await.map_err(|error| AttemptError::Refused(describe(&error, config)))
}

/// The error with its causes (the client's `Display` repeats them), and what to do where that is known.
fn describe(error: &async_nats::ConnectError, config: &Config) -> String {
    if is_refused(&error.kind()) {
        config.url.report_refused();
        return format!("{error} ({})", login::describe(config));
    }
    let text = error.to_string();
    match advice(error, "NATS_CA_FILE", "NATS_CERT_FILE") {
        Some(advice) => format!("{} ({advice})", without_clock(&text)),
        None => text,
    }
}

fn is_refused(kind: &ConnectErrorKind) -> bool {
    matches!(kind, ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)
}

fn options(config: &Config, name: &str, observers: Observers, log: Logger) -> Result<ConnectOptions, LoginError> {
    let (credentials, tls) = (config.clone(), login::tls_files(config));
    let outage =
        Arc::new(Outage { config: config.clone(), observers, log, logged: Mutex::new(LogOnce::new(MAX_LOGGED)) });
    let attempts = outage.clone();
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let credentials = credentials.clone();
        async move { login::authenticate(&credentials, &nonce).map_err(AuthError::new) }
    })
    .name(format!("ingest-node {name}"))
    .connection_timeout(ATTEMPT_TIMEOUT)
    .max_reconnects(None)
    .reconnect_delay_callback(|attempts| Duration::from_millis((attempts as u64 * 50).min(1_000)))
    // Capacity for a whole settled window, so that acknowledging never waits for the socket.
    .client_capacity(32 * 1024)
    .read_buffer_capacity(u16::MAX)
    // Before each attempt the client shows how the last one failed, and in full only there. It chooses the server itself.
    .reconnect_to_server_callback(move |servers, _| {
        attempts.show_failures(&servers);
        async { None }
    })
    .event_callback(move |event| {
        let outage = outage.clone();
        async move { outage.observe(event) }
    });
    // Who names certificates wants no plain text, whatever the server offers. The client reads the files for each connection.
    if let Some(file) = tls.roots.file() {
        options = options.add_root_certificates(file.path).require_tls(true);
    }
    if let Some((certificate, key)) = TlsFiles::identity(&tls.certificate, &tls.key)? {
        options = options.add_client_certificate(certificate.path, key.path).require_tls(true);
    }
    Ok(options)
}

/// What is known of a connection that does not stand.
struct Outage {
    config: Config,
    observers: Observers,
    log: Logger,
    /// The failures that are logged, until the connection stands again.
    logged: Mutex<LogOnce>,
}

impl Outage {
    /// Shows how the last attempt at each server failed.
    fn show_failures(&self, servers: &[Server]) {
        let failures: Vec<String> = servers
            .iter()
            .filter_map(|server| Some(format!("{}: {}", address(server), without_clock(server.last_error.as_ref()?))))
            .collect();
        if failures.is_empty() {
            return;
        }
        let is_refused = [ConnectErrorKind::Authentication, ConnectErrorKind::AuthorizationViolation]
            .iter()
            .any(|kind| failures.iter().any(|failure| failure.contains(&kind.to_string())));
        if is_refused {
            self.config.url.report_refused();
        }
        let failures = failures.join("; ");
        if self.logged.lock().is_new(&failures) {
            warn!(self.log, "nats can't be reached"; "error" => &failures);
        }
        if let Some(readiness) = &self.observers.readiness {
            readiness.down(Condition::Nats, failures);
        }
    }

    fn observe(&self, event: Event) {
        let (Observers { readiness, permissions }, log) = (&self.observers, &self.log);
        match event {
            Event::Connected => {
                self.logged.lock().reset();
                if let Some(permissions) = permissions {
                    permissions.logged_in();
                }
                if let Some(readiness) = readiness {
                    readiness.up(Condition::Nats);
                }
                info!(log, "nats connected");
            }
            Event::Disconnected => {
                if let Some(readiness) = readiness {
                    readiness.down(Condition::Nats, "disconnected");
                }
                warn!(log, "nats disconnected");
            }
            Event::ServerError(ServerError::Other(message)) => {
                if !permissions.as_ref().is_some_and(|permissions| permissions.record(&message, log)) {
                    warn!(log, "nats server error"; "error" => message);
                }
            }
            Event::ServerError(error) => warn!(log, "nats server error"; "error" => %error),
            Event::SlowConsumer(_) | Event::LameDuckMode => warn!(log, "nats event"; "event" => %event),
            other => debug!(log, "nats event"; "event" => %other),
        }
    }
}

/// A server's address without credentials.
fn address(server: &Server) -> String {
    format!("{}:{}", server.addr.host(), server.addr.port())
}
