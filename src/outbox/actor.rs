//! The child of the supervision tree that keeps the record and replays it.

use std::sync::Arc;

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::maintainer::Maintainer;
use super::monitor::Monitor;
use super::redelivery::Reader;
use super::settings::Settings;
use super::shared::Shared;
use crate::delivery::pending_ack::{Ended, Outbox};
use crate::message::{AttachRouter, Drain};
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;

/// What the replayer is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[influx]` settings.
    pub settings: Settings,
    /// How to reach PostgreSQL.
    pub connection: tokio_postgres::Config,
    /// This generation's part in the outbox, and the ends of its debts.
    pub outbox: (Outbox, UnboundedReceiver<Ended>),
    /// Gets what waits for a replay, as `influx_replay`.
    pub stats: Arc<Stats>,
}

/// Keeps the record of what InfluxDB has not confirmed, and has it written. One per node.
///
/// It has no mailbox to speak of: debts report their ends over a channel, and it works by the clock. Its work is never
/// a sign of death, for all of it is bounded in time.
pub(crate) struct Replayer {
    _lifeline: ActorGuard,
    clerk: Arc<tokio::sync::Mutex<Maintainer>>,
    reader: Option<Reader>,
    auditor: Option<Monitor>,
    shared: Arc<Shared>,
}

impl Replayer {
    /// A replayer that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, settings, connection, outbox, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, readiness, .. } = spawn;
        let shared = Arc::new(Shared::default());
        let shown = Arc::downgrade(&shared);
        stats.register("influx_replay", move || shown.upgrade().map_or(Value::Null, |shared| shared.state()));
        let takeover = settings.takeover;
        let metrics = metrics.influx.clone();
        let auditor =
            Monitor::new(settings.claim_lines, connection.clone(), shared.clone(), metrics.clone(), log.clone());
        let clerk = Maintainer::new(
            takeover,
            connection.clone(),
            (outbox.0.clone(), outbox.1),
            shared.clone(),
            metrics.clone(),
            log.clone(),
        );
        let reader = Reader::new(settings, connection, outbox.0, shared.clone(), readiness, metrics, log);
        let clerk = Arc::new(tokio::sync::Mutex::new(clerk));
        Self { _lifeline: actor_guard, clerk, reader: Some(reader), auditor: Some(auditor), shared }
    }
}

impl Actor for Replayer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let clerk = self.clerk.clone();
        let keep = async move {
            loop {
                clerk.lock().await.work().await;
            }
        };
        ctx.spawn(keep.into_actor(self));
        if let Some(reader) = self.reader.take() {
            ctx.spawn(reader.run().into_actor(self));
        }
        if let Some(auditor) = self.auditor.take() {
            ctx.spawn(auditor.run().into_actor(self));
        }
    }
}

impl Handler<AttachRouter> for Replayer {
    type Result = ();

    fn handle(&mut self, AttachRouter(router): AttachRouter, _: &mut Context<Self>) {
        self.shared.set_router(router);
    }
}

impl Handler<Drain> for Replayer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        let clerk = self.clerk.clone();
        Box::pin(async move { clerk.lock().await.farewell().await })
    }
}
