//! The connection that hears of changes: PostgreSQL's `LISTEN` on channel `ingest_invalidate`.

use std::future::poll_fn;

use actix::Addr;
use futures_util::future::{Either, select};
use serde::Deserialize;
use slog::{Logger, warn};
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::actor::{Changed, Listening, Registry};
use crate::core::backoff::Backoff;
use crate::sentence::sentence;

/// Longest pause between attempts: the staleness of caches without news is bounded by their TTL only.
const LONGEST_PAUSE_MS: u64 = 2_000;

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

/// Listens as long as the registry lives; connects again whenever the connection is lost.
pub async fn run(config: Config, registry: Addr<Registry>, log: Logger) {
    let mut backoff = Backoff::new(200, LONGEST_PAUSE_MS);
    while registry.connected() {
        let ended = listen(&config, &registry, &mut backoff).await;
        // Said once per outage.
        if backoff.failures() == 0 {
            let error = ended.err().map_or_else(|| "connection closed".to_owned(), |error| sentence(&error));
            warn!(log, "not listening for changes"; "error" => error);
        }
        registry.do_send(Listening(false));
        tokio::time::sleep(backoff.next(fastrand::f64())).await;
    }
}

async fn listen(
    config: &Config,
    registry: &Addr<Registry>,
    backoff: &mut Backoff,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let mut messages = std::pin::pin!(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message? {
                // What can't be read is about we know not what: treat it as a change of everything.
                registry.do_send(Changed(serde_json::from_str(notification.payload()).ok()));
            }
        }
        Ok(())
    });
    let subscribe = std::pin::pin!(client.batch_execute("LISTEN ingest_invalidate"));
    match select(subscribe, messages.as_mut()).await {
        Either::Left((subscribed, _)) => subscribed?,
        Either::Right((ended, _)) => return ended,
    }
    backoff.reset();
    registry.do_send(Listening(true));
    messages.await
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
