//! Redelivery: a source of points above the points' sink. What InfluxDB has not confirmed is read back from its rows and
//! goes the way of all points.

use std::sync::Arc;

use actix::prelude::*;
use tokio_util::sync::CancellationToken;

use super::reader::Reader;
use super::settings::Settings;
use super::shared::Shared;
use crate::delivery::pending_ack::Outbox;
use crate::message::{Drain, Points};
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::spawn::SpawnContext;

/// What redelivery is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// Pace and bounds.
    pub settings: Settings,
    /// How to reach PostgreSQL.
    pub connection: tokio_postgres::Config,
    /// This generation's name in the outbox.
    pub outbox: Outbox,
    /// What it has in common with the maintainer.
    pub shared: Arc<Shared>,
    /// Takes the points.
    pub points: Recipient<Points>,
}

/// Claims entries of the outbox and sends their points. One per node; it sends to the influx Router alone, and is drained
/// before it.
///
/// It works by the clock, in steps that are bounded in time, so standing still is no sign of death here.
pub(crate) struct Redelivery {
    _actor_guard: ActorGuard,
    reader: Option<Reader>,
    stop: CancellationToken,
    has_ended: bool,
    drained: DrainWaiters,
}

impl Redelivery {
    /// Redelivery that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, settings, connection, outbox, shared, points } = parts;
        let SpawnContext { actor_guard, log, metrics, .. } = spawn;
        let reader = Reader::new(settings, connection, outbox, shared, points, metrics.influx.clone(), log);
        Self {
            _actor_guard: actor_guard,
            reader: Some(reader),
            stop: CancellationToken::new(),
            has_ended: false,
            drained: DrainWaiters::default(),
        }
    }
}

impl Actor for Redelivery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(reader) = self.reader.take() else { return };
        // Whatever it was doing: the claims of what was not sent are released when it is dropped.
        let work = self.stop.clone().run_until_cancelled_owned(reader.run());
        ctx.spawn(work.into_actor(self).map(|_, this, _| {
            this.has_ended = true;
            this.drained.notify();
        }));
    }
}

impl Handler<Drain> for Redelivery {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.stop.cancel();
        if self.has_ended {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(self.drained.wait())
    }
}
