//! The connection that hears of changes: PostgreSQL's `LISTEN` on channel `ingest_invalidate`.
//!
//! A connection that is dead without a word (a host that is gone, a firewall that forgets it) looks like one on which
//! nothing changes. So the node notifies itself every few seconds, and believes the connection as long as it hears that.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use actix::{Addr, Message};
use deadpool_postgres::Pool;
use futures_util::future::{Either, select};
use serde::Deserialize;
use slog::{Logger, info, warn};
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Connection};

use super::Registry;
use crate::postgres::connector::{ConnectError, Connector};
use crate::postgres::{errors, session};
use crate::runtime::error_chain::error_chain;
use ingest_core::flow::backoff::Backoff;

/// Pause between two heartbeats, and the bound on each: together the time in which a dead connection is noticed.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
const HEARTBEAT_BOUND: Duration = Duration::from_secs(3);
/// Bound on connecting, log-in included.
const CONNECT_BOUND: Duration = Duration::from_secs(5);
/// Longest pause between attempts. Meanwhile nobody trusts what is cached for long.
const LONGEST_PAUSE_MS: u64 = 2_000;

/// From the listener: something changed; `None` = no telling what.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Changed(pub Option<Change>);

/// From the listener: whether it hears changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Listening(pub bool);

/// A notification, as the triggers write it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Change {
    /// The table.
    #[serde(rename = "t")]
    pub table: String,
    /// Whose rows; `None` where it is about all tenants.
    pub tenant: Option<String>,
    /// Which device; `None` where it is about the whole tenant.
    pub device: Option<String>,
}

/// Why nothing is heard any more.
#[derive(Debug, Error)]
enum Lost {
    #[error("connection closed")]
    Closed,
    #[error("PostgreSQL did not let the node in within {} s", CONNECT_BOUND.as_secs())]
    NotConnected,
    #[error("no heartbeat within {} s", HEARTBEAT_BOUND.as_secs())]
    Silent,
    #[error(transparent)]
    Refused(#[from] ConnectError),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

impl Lost {
    /// Counts it for `/metrics`.
    fn count(&self) {
        match self {
            Lost::Refused(ConnectError::Refused(error)) | Lost::Postgres(error) => errors::count(error),
            Lost::Refused(ConnectError::Settings(_)) => {}
            Lost::Refused(ConnectError::Silent(_)) | Lost::NotConnected | Lost::Silent => errors::count_timeout(),
            Lost::Closed => errors::count_closed(),
        }
    }
}

/// Listens as long as the registry lives; connects again whenever the connection is lost.
pub(super) async fn run(connector: Connector, pool: Pool, registry: Addr<Registry>, log: Logger) {
    let mut backoff = Backoff::new(200, LONGEST_PAUSE_MS);
    while registry.connected() {
        let Err(lost) = listen(&connector, &registry, &mut backoff, &log).await;
        lost.count();
        // Logged once per outage.
        if backoff.failures() == 0 {
            warn!(log, "not listening for changes"; "error" => error_chain(&lost));
        }
        if matches!(lost, Lost::Silent) {
            // Idle connections of the pool go the same way, and each would cost a look-up its bound.
            pool.retain(|_, _| false);
        }
        registry.do_send(Listening(false));
        sleep(backoff.next(fastrand::f64())).await;
    }
}

async fn listen(
    connector: &Connector,
    registry: &Addr<Registry>,
    backoff: &mut Backoff,
    log: &Logger,
) -> Result<Infallible, Lost> {
    let (client, connection) = timeout(CONNECT_BOUND, connector.dial()).await.map_err(|_| Lost::NotConnected)??;
    let channel = format!("ingest_alive_{:016x}", fastrand::u64(..));
    let heard = Notify::new();
    let hear = std::pin::pin!(hear(connection, &channel, &heard, registry));
    let live = std::pin::pin!(async {
        subscribe(&client, &channel, &heard).await?;
        if backoff.failures() > 0 {
            info!(log, "listening for changes");
        }
        backoff.reset();
        registry.do_send(Listening(true));
        loop {
            sleep(HEARTBEAT_EVERY).await;
            heartbeat(&client, &channel, &heard).await?;
        }
    });
    match select(hear, live).await {
        Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
    }
}

async fn subscribe(client: &Client, channel: &str, heard: &Notify) -> Result<(), Lost> {
    let set_up = session::set_up(client, HEARTBEAT_BOUND);
    timeout(HEARTBEAT_BOUND, set_up).await.map_err(|_| Lost::Silent)??;
    let listen = client.batch_execute("LISTEN ingest_invalidate");
    timeout(HEARTBEAT_BOUND, listen).await.map_err(|_| Lost::Silent)??;
    let listen = format!("LISTEN {channel}");
    timeout(HEARTBEAT_BOUND, client.batch_execute(&listen)).await.map_err(|_| Lost::Silent)??;
    // Behind a pooler that hands sessions around nothing would be heard: this shows it at once.
    heartbeat(client, channel, heard).await
}

/// Notifies itself, and hears it.
async fn heartbeat(client: &Client, channel: &str, heard: &Notify) -> Result<(), Lost> {
    let notify = format!("NOTIFY {channel}");
    let round = async {
        client.batch_execute(&notify).await?;
        heard.notified().await;
        Ok(())
    };
    timeout(HEARTBEAT_BOUND, round).await.unwrap_or(Err(Lost::Silent))
}

/// Passes on what is heard, until the connection ends.
async fn hear<S, T>(
    mut connection: Connection<S, T>,
    channel: &str,
    heard: &Notify,
    registry: &Addr<Registry>,
) -> Result<Infallible, Lost>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message? {
            AsyncMessage::Notification(notification) if notification.channel() == channel => heard.notify_one(),
            // What can't be read is about we know not what: treat it as a change of everything.
            AsyncMessage::Notification(notification) => {
                registry.do_send(Changed(serde_json::from_str(notification.payload()).ok()));
            }
            _ => {}
        }
    }
    Err(Lost::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_about_a_device_a_tenant_or_everything() {
        let read = |text| serde_json::from_str::<Change>(text).unwrap();
        let device = read(r#"{"t":"device_registry","tenant":"a","device":"d"}"#);
        assert_eq!((device.tenant.as_deref(), device.device.as_deref()), (Some("a"), Some("d")));
        assert_eq!(read(r#"{"t":"app_settings"}"#).tenant, None);
    }
}
