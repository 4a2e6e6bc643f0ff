//! What the connections of a session share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use parking_lot::Mutex;
use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::connection::{ConnectError, Connection, open};
use crate::gateway::{NotStored, StreamPublisher, Streams};
use crate::metrics::{Metrics, MqttDrop, MqttMetrics};
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::{Condition, Readiness};

/// Failures of one outage that are logged.
const MAX_LOGGED: usize = 16;

/// A broker, and where its messages go.
pub(crate) struct BrokerLink {
    /// The broker.
    pub config: Config,
    /// How long a stream's acknowledgement is waited for.
    pub publish_timeout: Duration,
    /// Publishes what is taken.
    pub publisher: StreamPublisher,
    /// The connection that it publishes on.
    pub client: Client,
    /// Whether the streams take messages, and how large ones.
    pub streams: Arc<Streams>,
}

/// The link, with where it reports.
pub(super) struct Shared {
    pub link: BrokerLink,
    pub metrics: MqttMetrics,
    pub log: Logger,
    /// A drain is asked for.
    pub stop: CancellationToken,
    readiness: Arc<Readiness>,
    /// Whether the broker has known the session: from then on it must not forget it.
    was_subscribed: AtomicBool,
    logged: Mutex<LogOnce>,
}

impl Shared {
    /// Nothing is connected yet.
    pub(super) fn new(link: BrokerLink, metrics: &Metrics, readiness: Arc<Readiness>, log: Logger) -> Self {
        Self {
            link,
            metrics: metrics.mqtt.clone(),
            log,
            stop: CancellationToken::new(),
            readiness,
            was_subscribed: AtomicBool::new(false),
            logged: Mutex::new(LogOnce::new(MAX_LOGGED)),
        }
    }

    /// Opens a connection to the session, or to a clean one.
    ///
    /// # Errors
    /// As [`open`].
    pub(super) async fn open(&self, clean_session: bool) -> Result<Connection, ConnectError> {
        let BrokerLink { config, publish_timeout, .. } = &self.link;
        // Reading may wait as long as a publication does, and pings with it: a broker waits one and a half times as long.
        let keep_alive = *publish_timeout * 2 + Duration::from_secs(20);
        open(config, &config.client_id, clean_session, keep_alive).await
    }

    /// The broker sends what it owes the session. It may answer the subscription after all of that: with many messages that is
    /// minutes later.
    pub(super) fn receives(&self) {
        self.metrics.connected.set(1);
        self.readiness.up(Condition::Mqtt);
    }

    /// The broker has granted the subscription.
    pub(super) fn subscribed(&self, session_present: bool) {
        self.receives();
        self.logged.lock().reset();
        let is_again = self.was_subscribed.swap(true, Ordering::Relaxed);
        if is_again {
            self.metrics.reconnects.inc();
        }
        if is_again && !session_present {
            self.metrics.sessions_lost.inc();
            warn!(
                self.log,
                "the mqtt broker has forgotten the session, and what it kept for it; check its persistence \
                and the expiry of sessions"
            );
        }
        info!(self.log, "mqtt subscribed"; "filter" => self.link.config.filter(), "session_present" => session_present);
    }

    /// A message is dropped that no stream takes, whenever it is sent: it would come again for ever, and hold up all that come
    /// after it.
    pub(super) fn too_large(&self, error: &NotStored) {
        self.metrics.dropped.of(MqttDrop::TooLarge).inc();
        let why = error.to_string();
        if self.logged.lock().is_new(&why) {
            warn!(self.log, "mqtt messages dropped: larger than NATS or the stream takes"; "error" => why);
        }
    }

    /// There is no connection, and none is tried.
    pub(super) fn waits(&self, why: &str) {
        self.readiness.down(Condition::Mqtt, why);
    }

    /// A connection has ended, or could not be made.
    pub(super) fn ended(&self, why: String) {
        self.metrics.connected.set(0);
        if self.logged.lock().is_new(&why) {
            warn!(self.log, "mqtt connection ended"; "why" => &why);
        }
        self.readiness.down(Condition::Mqtt, why);
    }
}
