//! Connects to NATS with credentials from the URL, and records what happens to the connection.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use slog::{Logger, debug, info, warn};

use super::config::Config;
use super::permissions::Permissions;
use crate::runtime::readiness::{Condition, Readiness};

/// What records the events of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observers {
    /// Readiness, with one connection only: two would overwrite each other's condition.
    pub readiness: Option<Arc<Readiness>>,
    /// Permission violations.
    pub permissions: Option<Arc<Permissions>>,
}

/// Connects within `start_wait_secs`. From then on the client reconnects by itself without limit.
///
/// # Errors
/// A message for people, where NATS did not answer in time.
pub(crate) async fn connect(config: &Config, name: &str, observers: Observers, log: &Logger) -> Result<Client, String> {
    let deadline = tokio::time::Instant::now() + config.start_wait();
    let mut delay = Duration::from_millis(100);
    let servers = servers(config)?;
    loop {
        let options = with_credentials(options(name, observers.clone(), log.clone()), &servers);
        match options.connect(&servers).await {
            Ok(client) => {
                if let Some(readiness) = &observers.readiness {
                    readiness.up(Condition::Nats);
                }
                return Ok(client);
            }
            Err(error) if tokio::time::Instant::now() + delay >= deadline => {
                return Err(format!("NATS did not answer within {} s: {error}", config.start_wait_secs));
            }
            Err(error) => {
                info!(log, "waiting for nats"; "error" => %error);
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(2));
            }
        }
    }
}

fn servers(config: &Config) -> Result<Vec<ServerAddr>, String> {
    config
        .url
        .expose()
        .split(',')
        .map(|url| {
            url.trim().parse().map_err(|_| "NATS_URL must be one or several URLs like nats://host:4222".to_owned())
        })
        .collect()
}

/// The client takes credentials from its options only, not from the URL: those of the first server that has any.
fn with_credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let credentials = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match credentials {
        Some((user, Some(password))) => options.user_and_password(decoded(user), decoded(password)),
        Some((token, None)) => options.token(decoded(token)),
        None => options,
    }
}

/// Percent-decoding, as a URL's user part has it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn options(name: &str, observers: Observers, log: Logger) -> ConnectOptions {
    ConnectOptions::new()
        .name(format!("ingest-node {name}"))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| Duration::from_millis((attempts as u64 * 50).min(1_000)))
        // Capacity for a whole settled window, so that acknowledging never waits for the socket.
        .client_capacity(32 * 1024)
        .read_buffer_capacity(u16::MAX)
        .event_callback(move |event| {
            let (observers, log) = (observers.clone(), log.clone());
            async move { observe(event, &observers, &log) }
        })
}

fn observe(event: Event, Observers { readiness, permissions }: &Observers, log: &Logger) {
    match event {
        Event::Connected => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_url_may_hold_any_character() {
        assert_eq!(decoded("p%40ss%2Fw%3ard"), "p@ss/w:rd");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz"), "%zz");
        assert_eq!(decoded("%C3%A4"), "ä");
    }
}
