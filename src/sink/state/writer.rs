//! The derived state writer: gathers what committed rows say of their devices and writes it behind them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use deadpool_postgres::Pool;
use slog::{info, warn};

use super::Config;
use super::store::{CHUNK, SkippedObservation, Store};
use crate::message::{CommittedEvent, Drain, Observe};
use crate::metrics::Outcome;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::failpoint;
use crate::runtime::fault::Fault;
use crate::runtime::log_once::LogOnce;
use crate::runtime::spawn::SpawnContext;
use ingest_core::flow::backoff::Backoff;
use ingest_core::state::observation::{Observation, Observations};

/// PostgreSQL is tried again at most this much later.
const RETRY_FIRST_MS: u64 = 200;
const RETRY_MAX_MS: u64 = 5_000;
/// A drain waits so long for a last flush: what is lost with it is brought back by each device's next message.
const DRAIN_BOUND: Duration = Duration::from_secs(5);

/// What the derived state writer is made of.
pub struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[state]` settings.
    pub config: Config,
    /// Connections; shared with those who write rows.
    pub pool: Pool,
    /// This node among the writers of derived state: a UUID of its own.
    pub node_id: Arc<str>,
}

/// Keeps the derived state. What it costs depends on the devices heard in an interval, not on their messages; and it
/// never takes more than its share of the time, at the price of longer intervals.
pub struct DerivedStateWriter {
    parts: Parts,
    /// What was heard since the last round began.
    heard: Observations,
    /// Idle between rounds; under way with its chunk.
    store: Option<Store>,
    round: Option<Round>,
    /// Whether what earlier writers may have left behind is written.
    has_caught_up: bool,
    /// Ends a drain that takes too long.
    drain_timer: Option<SpawnHandle>,
    /// The node drains: others need not wait for this writer any more.
    ends: bool,
    /// Why the other replicas do not hear how far this one is; logged once.
    logged: LogOnce,
    /// Begins the next round.
    timer: Option<SpawnHandle>,
    backoff: Backoff,
    drained: DrainWaiters,
}

/// One flush of everything that was heard.
struct Round {
    /// What is not written yet.
    left: Vec<Observation>,
    began: Instant,
}

impl DerivedStateWriter {
    /// A derived state writer that has heard nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            heard: Observations::new(parts.config.max_devices),
            store: Some(Store::new(parts.pool.clone(), &parts.config, parts.spawn.metrics.clone())),
            round: None,
            has_caught_up: false,
            drain_timer: None,
            ends: false,
            logged: LogOnce::new(2),
            timer: None,
            backoff: Backoff::new(RETRY_FIRST_MS, RETRY_MAX_MS),
            drained: DrainWaiters::default(),
            parts,
        }
    }

    fn begin_round_in(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(pause, |state_writer, ctx| state_writer.begin_round(ctx));
        if let Some(earlier) = self.timer.replace(timer) {
            ctx.cancel_future(earlier);
        }
    }

    /// Begins to flush what was heard, where nothing is being flushed.
    fn begin_round(&mut self, ctx: &mut Context<Self>) {
        if self.round.is_none() {
            self.round = Some(Round { left: self.heard.take(), began: Instant::now() });
            match self.has_caught_up {
                true => self.next_chunk(ctx),
                false => self.catch_up(ctx),
            }
        }
    }

    /// Before the first round: writes what a writer that was killed has left behind.
    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        let Some(store) = self.store.take() else { return };
        let node_id = self.parts.node_id.clone();
        let caught_up = async move {
            let result = store.catch_up(&node_id).await;
            (store, result)
        };
        ctx.spawn(caught_up.into_actor(self).map(|(store, result), state_writer, ctx| {
            state_writer.store = Some(store);
            state_writer.has_caught_up = result.is_ok();
            let log = &state_writer.parts.spawn.log;
            match result {
                Ok(0) => {}
                Ok(devices) => info!(log, "read back what a writer may have left behind"; "devices" => devices),
                Err(fault) if state_writer.logged.is_new("catching up") => {
                    warn!(log, "what a writer may have left behind can't be read back; trying on"; "error" => %fault);
                }
                Err(_) => {}
            }
            state_writer.next_chunk(ctx);
        }));
    }

    fn next_chunk(&mut self, ctx: &mut Context<Self>) {
        let Some(round) = &mut self.round else { return };
        if round.left.is_empty() {
            return self.report_round(ctx);
        }
        let chunk: Vec<Observation> = round.left.drain(..round.left.len().min(CHUNK)).collect();
        let Some(mut store) = self.store.take() else { return };
        self.parts.spawn.actor_guard.busy(true);
        let written = async move {
            let result = store.write(&chunk).await;
            (store, chunk, result)
        };
        ctx.spawn(written.into_actor(self).map(|(store, chunk, result), state_writer, ctx| {
            state_writer.store = Some(store);
            state_writer.parts.spawn.actor_guard.progress();
            match result {
                Ok(refused) => state_writer.written(&chunk, &refused, ctx),
                Err(fault) => state_writer.failed(chunk, &fault, ctx),
            }
        }));
    }

    fn written(&mut self, chunk: &[Observation], refused: &SkippedObservation, ctx: &mut Context<Self>) {
        failpoint::pass("state-writer");
        if self.backoff.failures() > 0 {
            self.backoff.reset();
            info!(self.parts.spawn.log, "derived state is written again");
        }
        let updates = &self.parts.spawn.metrics.state.updates;
        updates.of(Outcome::Ok).inc_by(chunk.iter().map(|observation| observation.events).sum());
        if let Some(message) = &refused.message {
            updates.of(Outcome::Failed).inc_by(refused.rows);
            warn!(self.parts.spawn.log, "postgresql refused derived state"; "rows" => refused.rows, "first_error" => message);
        }
        self.next_chunk(ctx);
    }

    /// Everything that is not written waits for the next try, together with what is heard until then.
    fn failed(&mut self, mut chunk: Vec<Observation>, fault: &Fault, ctx: &mut Context<Self>) {
        chunk.iter_mut().for_each(|observation| observation.heard.leave_out_repeats());
        if self.backoff.failures() == 0 {
            warn!(self.parts.spawn.log, "derived state is not written, holding"; "error" => %fault);
        }
        let left = self.round.take().map(|round| round.left).unwrap_or_default();
        chunk.into_iter().chain(left).for_each(|observation| self.heard.put_back(observation));
        self.evict();
        self.parts.spawn.actor_guard.busy(false);
        let delay = self.backoff.next(fastrand::f64());
        self.begin_round_in(delay, ctx);
    }

    /// Says how far this writer is: silence is assessed by it.
    fn report_round(&mut self, ctx: &mut Context<Self>) {
        let Some(round) = &self.round else { return };
        let is_last = self.drained.is_awaited() && self.heard.is_empty();
        if self.ends && !is_last {
            return self.end_round(false, ctx);
        }
        let Some(store) = self.store.take() else { return };
        let (node_id, began) = (self.parts.node_id.clone(), round.began);
        let reported = async move {
            let result = store.flushed(&node_id, began, is_last).await;
            (store, result)
        };
        ctx.spawn(reported.into_actor(self).map(move |(store, result), state_writer, ctx| {
            state_writer.store = Some(store);
            match result {
                Ok(()) => state_writer.logged.forget("reporting"),
                Err(fault) if state_writer.logged.is_new("reporting") => {
                    warn!(state_writer.parts.spawn.log, "how far derived state is written can't be said: nobody is taken for silent";
                        "error" => %fault);
                }
                Err(_) => {}
            }
            state_writer.end_round(is_last, ctx);
        }));
    }

    /// A drain that came while the round was reported takes another one: the last report takes this writer off the list.
    fn end_round(&mut self, is_last: bool, ctx: &mut Context<Self>) {
        let Some(round) = self.round.take() else { return };
        self.parts.spawn.actor_guard.busy(false);
        if self.drained.is_awaited() {
            if !self.heard.is_empty() || !is_last {
                return self.begin_round(ctx);
            }
            self.drained.notify();
        }
        self.begin_round_in(self.parts.config.pause_after(round.began.elapsed()), ctx);
    }

    /// Keeps memory bounded while nothing can be written.
    fn evict(&mut self) {
        let evicted = self.heard.evict();
        if evicted > 0 {
            self.parts.spawn.metrics.state.updates.of(Outcome::Failed).inc_by(evicted);
            warn!(self.parts.spawn.log, "derived state of the longest silent devices forgotten"; "events" => evicted);
        }
    }

    fn give_up_drain(&mut self) {
        if self.drained.is_awaited() {
            let lost = self.heard.take();
            let events = lost.iter().map(|observation| observation.events).sum();
            self.parts.spawn.metrics.state.updates.of(Outcome::Failed).inc_by(events);
            warn!(self.parts.spawn.log, "drained without a last flush of the derived state"; "devices" => lost.len());
            self.drained.notify();
        }
    }
}

impl Actor for DerivedStateWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // With nothing heard yet: others see that this writer is there.
        self.begin_round(ctx);
    }
}

impl Handler<Observe> for DerivedStateWriter {
    type Result = ();

    fn handle(&mut self, Observe { events }: Observe, _: &mut Self::Context) {
        for CommittedEvent { received_us, is_new, event } in events {
            self.heard.observe(received_us, is_new, event);
        }
        self.evict();
    }
}

impl Handler<Drain> for DerivedStateWriter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.ends = true;
        let drained = self.drained.wait();
        let bound = ctx.run_later(DRAIN_BOUND, |state_writer, _| state_writer.give_up_drain());
        if let Some(earlier) = self.drain_timer.replace(bound) {
            ctx.cancel_future(earlier);
        }
        self.begin_round(ctx);
        Box::pin(drained)
    }
}
