//! The session at the broker: one connection after another, for as long as the gateway runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use async_nats::Client;
use ingest_core::flow::backoff::Backoff;
use parking_lot::Mutex;
use slog::{Logger, info, warn};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::connection::{ConnectError, Connection, open};
use super::conversation::{End, Purpose, converse};
use crate::gateway::Publisher;
use crate::message::Drain;
use crate::metrics::{Metrics, MqttMetrics};
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::{Condition, Readiness};
use crate::runtime::spawn::SpawnContext;

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff::new(100, 10_000);
/// A connection that held for so long was none of a series of failures.
const STABLE: Duration = Duration::from_secs(30);
/// How often it is looked whether the streams take messages again.
const STREAMS_EVERY: Duration = Duration::from_millis(100);
/// Period of the heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Failures of one outage that are logged.
const MAX_LOGGED: usize = 16;

/// What a session is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// What it connects.
    pub link: Link,
}

/// A broker, and where its messages go.
pub(crate) struct Link {
    /// The broker.
    pub config: Config,
    /// How long a stream's acknowledgement is waited for.
    pub publish_timeout: Duration,
    /// Publishes what is taken.
    pub publisher: Publisher,
    /// The connection that it publishes on.
    pub client: Client,
    /// Whether the streams take messages.
    pub takes: Arc<AtomicBool>,
}

/// What the session's connections share.
pub(super) struct Shared {
    pub config: Config,
    pub publisher: Publisher,
    pub client: Client,
    pub takes: Arc<AtomicBool>,
    pub metrics: MqttMetrics,
    pub log: Logger,
    /// A drain is asked for.
    pub stop: CancellationToken,
    readiness: Arc<Readiness>,
    publish_timeout: Duration,
    /// Whether the broker has known the session: from then on it must not forget it.
    was_subscribed: AtomicBool,
    logged: Mutex<LogOnce>,
}

/// The actor; its thread is that of the connection, too.
pub(crate) struct Session {
    spawn: SpawnContext,
    shared: Arc<Shared>,
    stopped: CancellationToken,
}

impl Session {
    /// A session that is not connected yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, link } = parts;
        let shared = Shared::new(link, &spawn.metrics, spawn.readiness.clone(), spawn.log.clone());
        Self { spawn, shared: Arc::new(shared), stopped: CancellationToken::new() }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns.
        self.spawn.actor_guard.busy(true);
        ctx.run_interval(HEARTBEAT, |session, _| session.spawn.actor_guard.progress());
        let (shared, stopped) = (self.shared.clone(), self.stopped.clone());
        let life = async move {
            // However it ends.
            let _stopped = stopped.drop_guard();
            shared.live().await;
        };
        // A panic in here is the actor's.
        ctx.spawn(life.into_actor(self));
    }
}

impl Handler<Drain> for Session {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.shared.stop.cancel();
        let stopped = self.stopped.clone();
        Box::pin(async move { stopped.cancelled().await })
    }
}

impl Shared {
    /// Nothing is connected yet.
    pub(super) fn new(link: Link, metrics: &Metrics, readiness: Arc<Readiness>, log: Logger) -> Self {
        let Link { config, publish_timeout, publisher, client, takes } = link;
        Self {
            config,
            publisher,
            client,
            takes,
            metrics: metrics.mqtt.clone(),
            log,
            stop: CancellationToken::new(),
            readiness,
            publish_timeout,
            was_subscribed: AtomicBool::new(false),
            logged: Mutex::new(LogOnce::new(MAX_LOGGED)),
        }
    }

    async fn live(&self) {
        let (mut backoff, mut password) = (BACKOFF, self.config.password.changes());
        while self.streams_take().await {
            let began = Instant::now();
            let end = self.connect().await;
            if let End::Drained = end {
                break;
            }
            self.ended(&end);
            if began.elapsed() >= STABLE {
                backoff.reset();
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = sleep(backoff.next(fastrand::f64())) => {}
                Ok(()) = password.changed() => {}
            }
        }
        self.metrics.connected.set(0);
    }

    /// Waits until the streams take messages; `false` once a drain is asked for. Without a connection the broker keeps what
    /// comes, and nothing has to be sent a second time.
    async fn streams_take(&self) -> bool {
        while !self.stop.is_cancelled() && !self.takes.load(Ordering::Relaxed) {
            self.readiness.down(Condition::Mqtt, "waits until the streams take messages");
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(STREAMS_EVERY) => {}
            }
        }
        !self.stop.is_cancelled()
    }

    async fn connect(&self) -> End {
        let opened = tokio::select! {
            () = self.stop.cancelled() => return End::Drained,
            opened = self.open(false) => opened,
        };
        match opened {
            Ok(connection) => converse(self, connection, Purpose::Serve).await,
            Err(error) => End::Lost(error.to_string()),
        }
    }

    /// Opens a connection to the session, or to a clean one.
    pub(super) async fn open(&self, clean_session: bool) -> Result<Connection, ConnectError> {
        // Reading may wait as long as a publication does, and pings with it: a broker waits one and a half times as long.
        let keep_alive = self.publish_timeout * 2 + Duration::from_secs(20);
        open(&self.config, &self.config.client_id, clean_session, keep_alive).await
    }

    /// The broker has granted the subscription.
    pub(super) fn subscribed(&self, session_present: bool) {
        self.metrics.connected.set(1);
        self.logged.lock().reset();
        let again = self.was_subscribed.swap(true, Ordering::Relaxed);
        if again {
            self.metrics.reconnects.inc();
        }
        if again && !session_present {
            self.metrics.sessions_lost.inc();
            warn!(
                self.log,
                "the mqtt broker has forgotten the session, and what it kept for it; check its persistence \
                and the expiry of sessions"
            );
        }
        info!(self.log, "mqtt subscribed"; "filter" => self.config.filter(), "session_present" => session_present);
        self.readiness.up(Condition::Mqtt);
    }

    fn ended(&self, end: &End) {
        self.metrics.connected.set(0);
        let why = end.to_string();
        if self.logged.lock().is_new(&why) {
            warn!(self.log, "mqtt connection ended"; "why" => &why);
        }
        self.readiness.down(Condition::Mqtt, why);
    }
}
