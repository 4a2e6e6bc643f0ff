//! The outbox maintainer: owns the entries of this generation, deletes what is confirmed and releases what is not.

use std::sync::Arc;

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::monitor::Monitor;
use super::releaser::Releaser;
use super::settings::Settings;
use super::shared::Shared;
use crate::delivery::pending_ack::{Ended, Outbox};
use crate::message::Drain;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;

/// What the maintainer is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// Pace and bounds.
    pub settings: Settings,
    /// How to reach PostgreSQL.
    pub connection: tokio_postgres::Config,
    /// This generation's name in the outbox, and the entries that are done with.
    pub outbox: (Outbox, UnboundedReceiver<Ended>),
    /// What it has in common with redelivery.
    pub shared: Arc<Shared>,
    /// Gets what waits for redelivery, as `influx_replay`.
    pub stats: Arc<Stats>,
}

/// Maintains the outbox. One per node: built first and drained last, when every point has been confirmed or given up.
///
/// Entries that are done with come over a channel, and it works by the clock. Standing still is no sign of death here, for
/// all work is bounded in time.
pub(crate) struct OutboxMaintainer {
    _actor_guard: ActorGuard,
    releaser: Arc<tokio::sync::Mutex<Releaser>>,
    monitor: Option<Monitor>,
}

impl OutboxMaintainer {
    /// A maintainer that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, settings, connection, outbox, shared, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, .. } = spawn;
        let shown = Arc::downgrade(&shared);
        stats.register("influx_replay", move || shown.upgrade().map_or(Value::Null, |shared| shared.state()));
        let metrics = metrics.influx.clone();
        let monitor =
            Monitor::new(settings.claim_lines, connection.clone(), shared.clone(), metrics.clone(), log.clone());
        let releaser = Releaser::new(settings.takeover, connection, outbox, shared, metrics, log);
        Self {
            _actor_guard: actor_guard,
            releaser: Arc::new(tokio::sync::Mutex::new(releaser)),
            monitor: Some(monitor),
        }
    }
}

impl Actor for OutboxMaintainer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let releaser = self.releaser.clone();
        let maintain = async move {
            loop {
                releaser.lock().await.work().await;
            }
        };
        ctx.spawn(maintain.into_actor(self));
        if let Some(monitor) = self.monitor.take() {
            ctx.spawn(monitor.run().into_actor(self));
        }
    }
}

impl Handler<Drain> for OutboxMaintainer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        let releaser = self.releaser.clone();
        Box::pin(async move { releaser.lock().await.farewell().await })
    }
}
