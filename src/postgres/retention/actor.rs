//! The actor: begins the rounds, and ends them when the tree drains.

use std::sync::Arc;

use actix::prelude::*;
use serde_json::Value;

use super::config::Config;
use super::report::Report;
use super::rounds::{Rounds, log_once};
use crate::message::Drain;
use crate::metrics::RetentionFigures;
use crate::postgres::connector::Connector;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::background::Background;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;

/// What retention is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[retention]` settings.
    pub config: Config,
    /// How to reach PostgreSQL.
    pub connector: Connector,
    /// Gets what was found, as `retention`.
    pub stats: Arc<Stats>,
}

/// Drops what is older than the settings say. One per node; of all nodes one works at a time.
///
/// The only message is [`Drain`], sent by the supervisor. The actor never counts as busy, for all of its work is bounded in time.
pub(crate) struct Retention {
    _actor_guard: ActorGuard,
    rounds: Option<Rounds>,
    background: Background,
}

impl Retention {
    /// Retention that begins when it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, config, connector, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, readiness, .. } = spawn;
        let (report, background) = (Arc::<Report>::default(), Background::default());
        let (shown, settings) = (Arc::downgrade(&report), config.clone());
        stats.register("retention", move || shown.upgrade().map_or(Value::Null, |report| report.state(&settings)));
        let scraped = Arc::downgrade(&report);
        metrics
            .retention
            .figures
            .read_from(move || scraped.upgrade().map_or_else(RetentionFigures::default, |report| report.figures()));
        let (logged, others, stop) = (log_once(), log_once(), background.stop());
        let rounds = Rounds { config, connector, stop, report, log, metrics, readiness, logged, others };
        Self { _actor_guard: actor_guard, rounds: Some(rounds), background }
    }
}

impl Actor for Retention {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(rounds) = self.rounds.take() else { return };
        ctx.spawn(rounds.run().into_actor(self).map(|(), this, _| this.background.ended()));
    }
}

impl Handler<Drain> for Retention {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.background.drain()
    }
}
