//! Supervisor (root of the tree): keeps one generation running, rebuilds it after an exit or a stall within the restart budget,
//! and drains it at shutdown.

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
use super::stall::ObservedTime;
use crate::metrics::Metrics;
use crate::runtime::actor_guard::ActorExit;
use crate::runtime::readiness::Condition;
use ingest_core::flow::backoff::Backoff;
use ingest_core::flow::restart::Budget;

/// Period of the supervisor's heartbeat and of stall detection.
const TICK: Duration = Duration::from_secs(1);
/// The observed time advances by at most this per tick: longer gaps mean that the process was paused.
const MOST_BETWEEN_TICKS_MS: u64 = 2_000;
/// Timeout of releasing the deliveries of a failed generation.
const RELEASE_BOUND: Duration = Duration::from_secs(2);
/// Part of the drain's time reserved for releasing what could not be completed.
const RELEASE_RESERVE: Duration = Duration::from_secs(RELEASE_RESERVE_SECS);

/// How the tree ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything in flight was settled.
    Drained,
    /// The drain's deadline passed; this many deliveries were released to the broker.
    Unfinished(usize),
    /// A child exited during the drain; the broker redelivers what it held.
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
    observed: ObservedTime,
    /// A failed generation is releasing its deliveries.
    releasing: bool,
    ending: Option<oneshot::Sender<Ending>>,
    draining: bool,
}

/// Drain and stop; the ending arrives on the channel that [`Root::new`] returns.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown;

impl<W: Wiring> Root<W> {
    /// A supervisor of these children, and the channel for how it ends.
    pub(crate) fn new(
        config: Config,
        factories: Vec<Factory<W>>,
        environment: Environment,
    ) -> (Self, oneshot::Receiver<Ending>) {
        for factory in &factories {
            environment.metrics.actors.traffic(factory.name);
            environment.instances.list(factory.instance.clone(), factory.name);
        }
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
            observed: ObservedTime::default(),
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
        let observed_ms = self.observed.tick(self.now_ms(), MOST_BETWEEN_TICKS_MS);
        match Generation::build(self.number, &self.factories, &self.environment, &exits, observed_ms) {
            Ok(generation) => {
                info!(self.log, "generation built"; "generation" => self.number);
                self.built_ms = self.now_ms();
                self.generation = Some(generation);
                self.environment.readiness.up(Condition::Tree);
            }
            Err(why) => {
                error!(self.log, "generation not built"; "generation" => self.number, "why" => %why);
                self.restart("root", "root", ctx);
            }
        }
    }

    /// Stops the running generation and builds the next after a backoff, or ends when the restart budget is spent.
    fn restart(&mut self, actor: &'static str, instance: &str, ctx: &mut Context<Self>) {
        self.environment.metrics.actors.restarted(actor);
        self.environment.instances.restarted(instance);
        self.environment.readiness.down(Condition::Tree, format!("restarting after {actor}"));
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
            warn!(root.log, "generation ended"; "actor" => actor, "released" => released);
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
        if let Some(sender) = self.ending.take() {
            // An error means that the receiver was dropped.
            let _ = sender.send(ending);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.environment.readiness.heartbeat();
        let observed_ms = self.observed.tick(self.now_ms(), MOST_BETWEEN_TICKS_MS);
        let bound_ms = self.config.stuck_after_secs * 1_000;
        let Some(stall) = self.generation.as_mut().and_then(|generation| generation.find_stall(observed_ms, bound_ms))
        else {
            return;
        };
        match &stall.thread {
            Some((thread, actors)) => {
                error!(self.log, "thread stands still"; "thread" => thread, "actors" => actors.join(", "));
            }
            None => error!(self.log, "child has work and stands still"; "actor" => &*stall.instance),
        }
        self.environment.metrics.actors.exited(stall.actor, "stalled");
        self.environment.instances.exited(&stall.instance, "stalled");
        self.restart(stall.actor, &stall.instance, ctx);
    }

    fn log_stats(&self) {
        let totals = self.environment.metrics.totals();
        let reasons = self.environment.readiness.ready().err().unwrap_or_default();
        info!(self.log, "stats"; "received" => totals.received, "accepted" => totals.accepted,
            "rejected" => totals.rejected, "influx_ok" => totals.influx_ok, "influx_err" => totals.influx_err,
            "influx_flushes" => totals.influx_flushes, "influx_buffer" => totals.influx_buffer,
            "pending" => totals.pending, "ready" => reasons.is_empty(), "reasons" => reasons.join("; "));
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
    fn handle(&mut self, exit: ActorExit, ctx: &mut Self::Context) {
        // The other children of a failed generation exit after the first.
        if self.draining || self.generation.as_ref().is_none_or(|running| running.number != exit.generation) {
            return;
        }
        error!(self.log, "actor exited"; "actor" => &*exit.instance, "cause" => exit.cause,
            "generation" => exit.generation);
        self.environment.metrics.actors.exited(exit.name, exit.cause);
        self.environment.instances.exited(&exit.instance, exit.cause);
        self.restart(exit.name, &exit.instance, ctx);
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
                Ok(Err(actor)) => Ending::ChildExited(actor),
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
    metrics.ledgers.read().iter().map(|(_, ledger)| ledger.in_flight).sum()
}

#[cfg(test)]
mod tests {
    use actix::Recipient;
    use slog::Discard;

    use super::*;
    use crate::message::Release;
    use crate::runtime::readiness::Readiness;
    use crate::supervisor::child::BuildError;

    #[derive(Default)]
    struct Nothing;

    impl Wiring for Nothing {
        fn holders(&self) -> Vec<Recipient<Release>> {
            Vec::new()
        }
    }

    #[test]
    fn every_actor_of_the_list_is_shown_by_its_own_name_before_it_is_built() {
        let factory = |role| Factory::<Nothing>::new(role, "test", "thread", |_, _| Err(BuildError::Order("nobody")));
        let list =
            vec![factory("writer"), factory("validator").told_apart_by(0), factory("validator").told_apart_by(1)];
        let environment = Environment {
            log: Logger::root(Discard, o!()),
            metrics: Metrics::new(),
            readiness: Readiness::new(),
            instances: std::sync::Arc::default(),
        };
        let _root = Root::new(Config::default(), list, environment.clone());
        let shown: Vec<_> = environment.instances.read().into_iter().map(|of| (of.name.to_string(), of.role)).collect();
        let expected = [("writer", "writer"), ("validator-0", "validator"), ("validator-1", "validator")];
        assert_eq!(shown, expected.map(|(name, role)| (name.to_owned(), role)));
    }
}
