//! The outbox maintainer: owns the entries of this generation, deletes those that are confirmed and releases the others.

use std::sync::Arc;

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::monitor::Monitor;
use super::redelivery_state::RedeliveryState;
use super::releaser::Releaser;
use super::report::BacklogState;
use super::settings::Settings;
use crate::delivery::pending_ack::{Outbox, Released};
use crate::message::Drain;
use crate::postgres::connector::Connector;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;

/// What the maintainer is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// How fast and how much is redelivered.
    pub settings: Settings,
    /// How to reach PostgreSQL.
    pub connector: Connector,
    /// This generation's handle of the outbox, and the channel over which its entries are released.
    pub outbox: (Outbox, UnboundedReceiver<Released>),
    /// What it shares with redelivery.
    pub state: Arc<RedeliveryState>,
    /// Gets the backlog, as `influx_replay`.
    pub stats: Arc<Stats>,
}

/// Maintains the outbox: deletes and releases entries, sends the owner's heartbeat, reaps expired owners, compacts entries and
/// measures the backlog. One per node: built first and drained last, when every point has been confirmed or deferred.
///
/// Entries are released over a channel and the loops work by the clock; the only message is [`Drain`], sent by the supervisor.
/// The actor never counts as busy, for all of its work is bounded in time.
pub(crate) struct OutboxMaintainer {
    _actor_guard: ActorGuard,
    releaser: Arc<tokio::sync::Mutex<Releaser>>,
    monitor: Option<Monitor>,
}

impl OutboxMaintainer {
    /// A maintainer that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, settings, connector, outbox, state, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, .. } = spawn;
        let backlog = Arc::<BacklogState>::default();
        let shown = Arc::downgrade(&backlog);
        stats.register("influx_replay", move || shown.upgrade().map_or(Value::Null, |backlog| backlog.get()));
        let metrics = metrics.influx.clone();
        let monitor =
            Monitor::new(settings.claim_lines, connector.clone(), state.clone(), backlog, metrics.clone(), log.clone());
        let releaser = Releaser::new(settings.takeover, connector, outbox, state, metrics, log);
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
        Box::pin(async move { releaser.lock().await.drain().await })
    }
}
