//! Redelivery: a source of points above the influx Router. Points that InfluxDB has not confirmed are rebuilt from their rows
//! and sent like all others.

use std::sync::Arc;

use actix::prelude::*;

use super::reader::Reader;
use super::redelivery_state::RedeliveryState;
use super::settings::Settings;
use crate::delivery::pending_ack::Outbox;
use crate::message::{Drain, Points};
use crate::postgres::connector::Connector;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::background::Background;
use crate::runtime::spawn::SpawnContext;

/// What redelivery is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// How fast and how much is redelivered.
    pub settings: Settings,
    /// How to reach PostgreSQL.
    pub connector: Connector,
    /// This generation's handle of the outbox.
    pub outbox: Outbox,
    /// What it shares with the maintainer.
    pub state: Arc<RedeliveryState>,
    /// The influx Router.
    pub points: Recipient<Points>,
}

/// Claims entries of the outbox and sends their points to the influx Router. One per node.
///
/// The only message is [`Drain`], sent by the supervisor: it ends the loop. The actor never counts as busy, for all of its
/// work is bounded in time.
pub(crate) struct Redelivery {
    _actor_guard: ActorGuard,
    reader: Option<Reader>,
    background: Background,
}

impl Redelivery {
    /// Redelivery that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, settings, connector, outbox, state, points } = parts;
        let SpawnContext { actor_guard, log, metrics, .. } = spawn;
        let reader = Reader::new(settings, connector, outbox, state, points, metrics.influx.clone(), log);
        Self { _actor_guard: actor_guard, reader: Some(reader), background: Background::default() }
    }
}

impl Actor for Redelivery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(reader) = self.reader.take() else { return };
        // Dropped wherever it is: the pending acks of what was not sent are dropped with it, so that its claims are released,
        // and a claim whose answer is lost is released with everything that this owner holds, by the maintainer's drain.
        let work = self.background.stop().run_until_cancelled_owned(reader.run());
        ctx.spawn(work.into_actor(self).map(|_, this, _| this.background.ended()));
    }
}

impl Handler<Drain> for Redelivery {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.background.drain()
    }
}
