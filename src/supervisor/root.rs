//! Root: keeps one generation of children alive, rebuilds it after a death, and drains it at the end.

use std::time::{Duration, Instant};

use actix::prelude::*;
use slog::{Logger, error, info, o, warn};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::child::{Factory, Wiring};
use super::config::{Config, RELEASE_RESERVE_SECS};
use super::environment::Environment;
use super::generation::Generation;
use super::watch::WatchedTime;
use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::actor_guard::ActorExit;
use crate::runtime::readiness::Condition;
use ingest_core::flow::backoff::Backoff;
use ingest_core::flow::restart::Budget;

/// Root's own clock: sign of life, look for stuck children.
const TICK: Duration = Duration::from_secs(1);
/// Ticks that are further apart than this have been held up: that time was not watched.
const MOST_BETWEEN_TICKS_MS: u64 = 2_000;
/// What a dying generation gets to give its deliveries back.
const RELEASE_BOUND: Duration = Duration::from_secs(2);
/// Kept back of the drain's time for giving back what could not be finished.
const RELEASE_RESERVE: Duration = Duration::from_secs(RELEASE_RESERVE_SECS);

/// How the tree's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything in flight was finished.
    Drained,
    /// The drain's deadline passed; so many deliveries were given back unfinished.
    Unfinished(usize),
    /// A child died before it had finished; what it held is delivered again.
    ChildExited(&'static str),
    /// The restart budget is spent.
    GaveUp,
}

/// The supervisor.
pub(crate) struct Root<W> {
    config: Config,
    factories: Vec<Factory<W>>,
    environment: Environment,
    log: Logger,
    generation: Option<Generation>,
    number: u64,
    budget: Budget,
    backoff: Backoff,
    exits: Option<UnboundedSender<ActorExit>>,
    started: Instant,
    built_ms: u64,
    watched: WatchedTime,
    /// A generation that has failed is giving its deliveries back.
    releasing: bool,
    ending: Option<oneshot::Sender<Ending>>,
    draining: bool,
}

/// Finish and end; the ending comes over the channel given to [`Root::new`].
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown;

impl<W: Wiring> Root<W> {
    /// A supervisor of these children; tells how it ended.
    pub(crate) fn new(
        config: Config,
        factories: Vec<Factory<W>>,
        environment: Environment,
    ) -> (Self, oneshot::Receiver<Ending>) {
        factories.iter().for_each(|factory| environment.metrics.supervised(factory.name));
        let (ending, ended) = oneshot::channel();
        let root = Self {
            budget: Budget::new(config.restart_budget, config.restart_window_secs * 1_000),
            backoff: Backoff::new(100, 10_000),
            config,
            factories,
            log: environment.log.new(o!("component" => "supervisor")),
            environment,
            generation: None,
            number: 0,
            exits: None,
            started: Instant::now(),
            built_ms: 0,
            watched: WatchedTime::default(),
            releasing: false,
            ending: Some(ending),
            draining: false,
        };
        (root, ended)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn build(&mut self, ctx: &mut Context<Self>) {
        let Some(exits) = self.exits.clone() else { return };
        if self.draining {
            return;
        }
        self.number += 1;
        let watched_ms = self.watched.tick(self.now_ms(), MOST_BETWEEN_TICKS_MS);
        match Generation::build(self.number, &self.factories, &self.environment, &exits, watched_ms) {
            Ok(generation) => {
                info!(self.log, "generation built"; "generation" => self.number);
                self.built_ms = self.now_ms();
                self.generation = Some(generation);
                self.environment.readiness.up(Condition::Tree);
            }
            Err(why) => {
                error!(self.log, "generation not built"; "generation" => self.number, "why" => why);
                self.restart("root", ctx);
            }
        }
    }

    /// Ends the living generation and builds the next after a pause, or gives up.
    fn restart(&mut self, culprit: &'static str, ctx: &mut Context<Self>) {
        self.environment.metrics.restarted(culprit);
        self.environment.readiness.down(Condition::Tree, format!("restarting after {culprit}"));
        let now_ms = self.now_ms();
        if now_ms - self.built_ms > self.config.restart_window_secs * 1_000 {
            self.backoff.reset();
        }
        let next = self.budget.spend(now_ms).then(|| self.backoff.next(fastrand::f64()));
        self.releasing = true;
        let generation = self.generation.take();
        let released = async move {
            let Some(generation) = generation else { return 0 };
            let released = generation.release(RELEASE_BOUND).await;
            generation.stop_threads();
            released
        };
        ctx.spawn(released.into_actor(self).map(move |released, root, ctx| {
            root.releasing = false;
            warn!(root.log, "generation ended"; "culprit" => culprit, "given_back" => released);
            root.go_on(released, next, ctx);
        }));
    }

    /// After a generation's end: the next one after a pause, where there may be one and nobody asked for a drain.
    fn go_on(&mut self, released: usize, next: Option<Duration>, ctx: &mut Context<Self>) {
        match next {
            _ if self.draining => self.end(if released > 0 { Ending::Unfinished(released) } else { Ending::Drained }),
            Some(pause) => drop(ctx.run_later(pause, |root, ctx| root.build(ctx))),
            None => {
                error!(self.log, "restart budget spent"; "restarts" => self.config.restart_budget,
                    "window_secs" => self.config.restart_window_secs);
                self.end(Ending::GaveUp);
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        if let Some(told) = self.ending.take() {
            // Whoever started the tree may have stopped listening; then there is nobody to tell.
            let _ = told.send(ending);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.environment.readiness.beat();
        let watched_ms = self.watched.tick(self.now_ms(), MOST_BETWEEN_TICKS_MS);
        let bound_ms = self.config.stuck_after_secs * 1_000;
        let Some(stuck) = self.generation.as_mut().and_then(|generation| generation.find_stuck(watched_ms, bound_ms))
        else {
            return;
        };
        match &stuck.thread {
            Some((thread, actors)) => {
                error!(self.log, "thread stands still"; "thread" => thread, "actors" => actors.join(", "));
            }
            None => error!(self.log, "child has work and stands still"; "actor" => stuck.actor),
        }
        self.restart(stuck.actor, ctx);
    }

    fn log_stats(&self) {
        let totals = self.environment.metrics.totals();
        info!(self.log, "stats"; "received" => totals.received, "accepted" => totals.accepted,
            "rejected" => totals.rejected, "influx_ok" => totals.influx_ok, "influx_err" => totals.influx_err,
            "influx_flushes" => totals.influx_flushes, "influx_buffer" => totals.influx_buffer,
            "pending" => totals.pending);
    }
}

impl<W: Wiring> Actor for Root<W> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (exits, reported) = unbounded_channel();
        self.exits = Some(exits);
        ctx.add_stream(UnboundedReceiverStream::new(reported));
        ctx.run_interval(TICK, |root, ctx| root.tick(ctx));
        if self.config.log_stats_every_secs > 0 {
            ctx.run_interval(Duration::from_secs(self.config.log_stats_every_secs), |root, _| root.log_stats());
        }
        self.build(ctx);
    }
}

impl<W: Wiring> StreamHandler<ActorExit> for Root<W> {
    fn handle(&mut self, death: ActorExit, ctx: &mut Self::Context) {
        // The rest of a dying generation follows its first death.
        if self.draining || self.generation.as_ref().is_none_or(|living| living.number != death.generation) {
            return;
        }
        error!(self.log, "child died"; "actor" => death.name, "cause" => death.cause, "generation" => death.generation);
        self.restart(death.name, ctx);
    }
}

impl<W: Wiring> Handler<Shutdown> for Root<W> {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.environment.readiness.begin_drain();
        info!(self.log, "draining"; "in_flight" => in_flight(&self.environment.metrics));
        let Some(generation) = self.generation.take() else {
            // Between two generations nothing is in flight.
            if !self.releasing {
                self.end(Ending::Drained);
            }
            return;
        };
        let bound = Duration::from_secs(self.config.drain_timeout_secs).saturating_sub(RELEASE_RESERVE);
        let drain = async move {
            let ending = match tokio::time::timeout(bound, generation.drain()).await {
                Ok(Ok(())) => Ending::Drained,
                Ok(Err(died)) => Ending::ChildExited(died),
                Err(_) => Ending::Unfinished(generation.release(RELEASE_RESERVE * 3 / 4).await),
            };
            generation.stop_threads();
            ending
        };
        ctx.spawn(drain.into_actor(self).map(|ending, root, _| root.end(ending)));
    }
}

/// Unsettled deliveries of all lanes.
fn in_flight(metrics: &Metrics) -> u64 {
    Lane::ALL.iter().map(|lane| metrics.ledgers.lane(*lane).in_flight).sum()
}
