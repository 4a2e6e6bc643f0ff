//! The silence watcher: looks at the devices every few seconds.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use async_nats::Client;
use async_nats::jetstream::context::ContextBuilder;
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use serde_json::json;

use super::sight::Sight;
use super::worker::Worker;
use crate::message::Drain;
use crate::nats::provision::Provisioner;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::log_once::LogOnce;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;
use crate::sink::state::Config;
use ingest_core::state::alert::Quota;

/// A broker that works answers in milliseconds.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// What is logged once; the servers' words are few.
const MAX_LOGGED: usize = 16;
/// A drain waits so long for a look that is under way; the next one makes up for what it left.
const DRAIN_BOUND: Duration = Duration::from_secs(5);

/// What the watcher is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[state]` settings.
    pub config: Config,
    /// Connections; shared with those who write rows.
    pub pool: Pool,
    /// This node among the writers of derived state.
    pub node_id: Arc<str>,
    /// The connection that alerts are published on.
    pub client: Client,
    /// Finds or makes the stream of the alerts.
    pub streams: Provisioner,
    /// Gets what it can assess, as `silence-watcher`.
    pub stats: Arc<Stats>,
}

/// Looks for devices that fall silent and that come back. Its looks work by the clock; the only message is [`Drain`]. It never
/// counts as busy, for all of its work is bounded in time.
pub(crate) struct SilenceWatcher {
    _actor_guard: ActorGuard,
    worker: Arc<tokio::sync::Mutex<Worker>>,
    every: Duration,
}

impl SilenceWatcher {
    /// A watcher that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, config, pool, node_id, client, streams, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, readiness, .. } = spawn;
        let shown = Arc::new(Mutex::new(json!({"looks": false, "why_not": "it has not looked yet"})));
        let of = Arc::downgrade(&shown);
        stats.register("silence-watcher", move || of.upgrade().map_or_else(|| json!({}), |shown| shown.lock().clone()));
        let every = Duration::from_secs(config.silence.look_secs);
        let jetstream = ContextBuilder::new().timeout(PUBLISH_TIMEOUT).ack_timeout(PUBLISH_TIMEOUT).build(client);
        let worker = Worker {
            quota: Quota::new(config.silence.alerts_per_minute),
            pool,
            config,
            node_id,
            jetstream,
            streams,
            metrics,
            readiness,
            log,
            shown,
            sight: Sight::default(),
            logged: LogOnce::new(MAX_LOGGED),
            looks: 0,
            has_stream: false,
            retry_at: None,
            backoff: Worker::backoff(),
            has_ended: false,
        };
        Self { _actor_guard: actor_guard, worker: Arc::new(tokio::sync::Mutex::new(worker)), every }
    }
}

impl Actor for SilenceWatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (worker, every) = (self.worker.clone(), self.every);
        let looks = async move {
            loop {
                tokio::time::sleep(every).await;
                worker.lock().await.look().await;
            }
        };
        ctx.spawn(looks.into_actor(self));
    }
}

impl Handler<Drain> for SilenceWatcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        let worker = self.worker.clone();
        let ended = async move { worker.lock().await.end().await };
        Box::pin(async move {
            let _ = tokio::time::timeout(DRAIN_BOUND, ended).await;
        })
    }
}
