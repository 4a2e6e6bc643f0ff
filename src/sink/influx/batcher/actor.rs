//! One tenant's lines on their way: collects them into batches, writes the batches, and ends every line exactly once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::WeakRecipient;
use actix::prelude::*;
use slog::Logger;
use tokio_stream::wrappers::WatchStream;

use super::health::TargetHealth;
use super::logged::Logged;
use super::trial::Trials;
use crate::message::{Point, Points, QuarantinePoints};
use crate::metrics::InfluxMetrics;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::failpoint;
use crate::sink::influx::Config;
use crate::sink::influx::backend::TenantTarget;
use crate::sink::influx::batch::{Batch, Filling};
use crate::sink::influx::breaker::Breaker;
use crate::sink::influx::buffer_stats::BufferStats;
use crate::sink::influx::classify::WriteOutcome;
use crate::sink::influx::server_health::ServerHealth;
use ingest_core::flow::backoff::Backoff;
use ingest_core::influx::coercion::Coercion;
use ingest_core::influx::field_budget::FieldBudget;

/// A batch is full at this size too: InfluxDB takes 10 MiB unless it is told otherwise.
const FULL_BYTES: usize = 8 * 1024 * 1024;

/// Lines of a request that probes a database behind an open breaker. A server that turns a request away before it has
/// read the body is only understood where the body was short.
const PROBE_LINES: usize = 100;

/// What a batcher is made of.
pub(in crate::sink::influx) struct Parts {
    /// Whose lines.
    pub tenant_id: Arc<str>,
    /// Where they go.
    pub target: TenantTarget,
    /// The `[influx]` settings.
    pub config: Arc<Config>,
    /// Whether no other tenant's points go there.
    pub is_sole: bool,
    /// The tenant's buffer.
    pub buffer: Arc<BufferStats>,
    /// The node's view of the server.
    pub condition: Arc<ServerHealth>,
    /// The metrics of writing to InfluxDB.
    pub metrics: InfluxMetrics,
    /// Makes refused points durable.
    pub quarantine: Recipient<QuarantinePoints>,
    /// The tenant's log.
    pub log: Logger,
}

/// Tells the router that a batcher is gone, for whatever reason: held as long as it lives.
pub(crate) struct ExitGuard {
    /// Whose batcher.
    pub tenant_id: Arc<str>,
    /// Which of the tenant's batchers, one after another.
    pub instance: u64,
    /// The router.
    pub router: WeakRecipient<BatcherExited>,
}

/// A batcher is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BatcherExited {
    /// Whose batcher.
    pub tenant_id: Arc<str>,
    /// Which of the tenant's batchers.
    pub instance: u64,
    /// Whether it was a panic.
    pub panicked: bool,
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        if let Some(router) = self.router.upgrade() {
            let panicked = std::thread::panicking();
            router.do_send(BatcherExited { tenant_id: self.tenant_id.clone(), instance: self.instance, panicked });
        }
    }
}

/// Router to Batcher: write what you have, then answer. What a failing database does not take by then is given up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DrainBatcher;

/// Router to Batcher: stop; nothing was left to write for long.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopIdle;

/// One tenant's batcher.
pub(crate) struct Batcher {
    pub(super) _exit_guard: ExitGuard,
    pub(super) parts: Parts,
    pub(super) breaker: Breaker,
    pub(super) fitting: Coercion,
    pub(super) trials: Trials,
    pub(super) health: TargetHealth,
    pub(super) filling: Filling,
    /// Full batches and those to be tried again, the oldest first.
    pub(super) ready: VecDeque<Batch>,
    /// When the requests under way were sent, the oldest first.
    pub(super) requests: VecDeque<(u64, Instant)>,
    pub(super) requests_sent: u64,
    /// Requests that the database took.
    pub(super) written: u64,
    /// When the server was asked for its columns, while it is.
    pub(super) asked: Option<Instant>,
    pub(super) alarm: Option<(Instant, SpawnHandle)>,
    pub(super) logged: Logged,
    pub(super) drained: DrainWaiters,
    pub(super) drain_until: Option<Instant>,
    pub(super) closing: bool,
}

impl Batcher {
    /// A batcher with nothing to do yet.
    pub(in crate::sink::influx) fn new(parts: Parts, exit_guard: ExitGuard) -> Self {
        let config = &parts.config;
        let backoff = Backoff::new(config.retry.retry_delay_ms, config.retry.retry_delay_max_ms);
        let can_ask = parts.target.can_be_asked().then(Instant::now);
        let budget = FieldBudget::new(config.columns.max_fields_per_tenant, parts.is_sole, can_ask);
        Self {
            _exit_guard: exit_guard,
            breaker: Breaker::new(backoff, config.retry.breaker_failures.max(1)),
            fitting: Coercion::new(budget, Duration::from_secs(config.columns.column_retry_secs)),
            trials: Trials::default(),
            health: TargetHealth::new(parts.condition.alert_of(parts.tenant_id.clone())),
            parts,
            filling: Filling::default(),
            ready: VecDeque::new(),
            requests: VecDeque::new(),
            requests_sent: 0,
            written: 0,
            asked: None,
            alarm: None,
            logged: Logged::default(),
            drained: DrainWaiters::default(),
            drain_until: None,
            closing: false,
        }
    }

    pub(super) fn enqueue(&mut self, points: Vec<Point>) {
        let now = Instant::now();
        let full = self.parts.config.batch.batch_size.max(1);
        for point in points {
            self.filling.push(point, now);
            if self.filling.len() >= full || self.filling.bytes() >= FULL_BYTES {
                self.ready.extend(self.filling.seal());
            }
        }
    }

    /// Sends what may be sent, gives back what should not be held, and sets the alarm for the next look.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while self.may_send(now) {
            let Some(mut batch) = self.next_batch(now) else { break };
            if self.breaker.is_open() {
                let rest;
                (batch, rest) = batch.split(PROBE_LINES);
                rest.into_iter().for_each(|rest| self.ready.push_front(rest));
            }
            if let Some(batch) = self.fitted(batch, now, ctx) {
                self.send(batch, now, ctx);
            }
        }
        self.send_trials(now, ctx);
        self.nack_excess(now);
        self.finish_drain(now, ctx);
        self.report_health(now);
        self.set_alarm(now, ctx);
    }

    /// Batches wait for a free request, and for what the server has to tell first of the columns that they need.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.asked.is_none() && !self.trials.are_awaited() && self.requests.len() < self.permits(now)
    }

    pub(super) fn permits(&self, now: Instant) -> usize {
        let config = &self.parts.config;
        // More only for a tenant that is fast: one whose server hangs, and few lines come, opens few connections.
        let is_full = self.ready.front().is_some_and(|batch| batch.len() >= config.batch.batch_size);
        let most = if is_full { config.in_flight_when_full() } else { config.batch.max_in_flight };
        self.breaker.permits(now, self.parts.target.most_in_flight(most))
    }

    pub(super) fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        if let Some(batch) = self.ready.pop_front() {
            return Some(batch);
        }
        let is_due = self.drain_until.is_some() || self.due_at().is_some_and(|due_at| due_at <= now);
        if is_due { self.filling.seal() } else { None }
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        Some(self.filling.since()? + Duration::from_millis(self.parts.config.batch.flush_interval_ms))
    }

    pub(super) fn send(&mut self, batch: Batch, now: Instant, ctx: &mut Context<Self>) {
        failpoint::pass("batcher");
        let request = self.request_begins(now);
        let round = self.breaker.round();
        let answer = self.parts.target.clone().write(batch.body(), batch.len());
        ctx.spawn(answer.into_actor(self).map(move |outcome, this, ctx| {
            this.request_ends(request, now, &outcome);
            this.batch_answered(batch, round, now, outcome);
            this.pump(ctx);
        }));
    }

    /// A request is sent; its number.
    pub(super) fn request_begins(&mut self, now: Instant) -> u64 {
        self.requests_sent += 1;
        self.requests.push_back((self.requests_sent, now));
        self.parts.buffer.request_sent();
        self.requests_sent
    }

    /// A request that was sent then has ended.
    pub(super) fn request_ends(&mut self, request: u64, sent: Instant, outcome: &WriteOutcome) {
        self.requests.retain(|(other, _)| *other != request);
        self.parts.metrics.flush_seconds.observe(sent.elapsed().as_secs_f64());
        if *outcome == WriteOutcome::Written {
            self.parts.condition.written(sent, Instant::now());
        }
    }

    /// Answers a drain when nothing is left, or nothing more can be done.
    pub(super) fn finish_drain(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(until) = self.drain_until else { return };
        let is_hopeless = self.breaker.is_open() && self.breaker.resumes_at(now).is_some();
        if until <= now || is_hopeless {
            for batch in std::mem::take(&mut self.ready).into_iter().chain(self.filling.seal()) {
                self.abandon(batch);
            }
        }
        let is_empty = self.ready.is_empty() && self.filling.since().is_none() && self.requests.is_empty();
        if (is_empty || until <= now) && self.drained.is_awaited() && !self.closing {
            self.closing = true;
            let closed = self.parts.target.clone().close().into_actor(self);
            ctx.spawn(closed.map(|(), this, _| {
                this.closing = false;
                this.drained.notify();
            }));
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.filling.since().is_some() || self.trials.are_waiting()
    }

    /// Sets the alarm for the next moment at which time alone changes something.
    pub(super) fn set_alarm(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let has_slot = self.requests.len() < self.permits(now);
        let hold = Duration::from_secs(self.parts.config.buffer.hold_secs);
        let moments = [
            self.due_at().filter(|_| has_slot),
            self.breaker.resumes_at(now).filter(|_| self.has_work()),
            self.ready.front().filter(|batch| batch.is_required()).map(|batch| batch.since() + hold),
            self.health_changes_at(now),
            self.drain_until.filter(|_| self.drained.is_awaited()),
        ];
        let next = moments.into_iter().flatten().filter(|moment| *moment > now).min();
        if self.alarm.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        if let Some((_, handle)) = self.alarm.take() {
            ctx.cancel_future(handle);
        }
        self.alarm = next.map(|at| {
            let handle = ctx.run_later(at - now, |this, ctx| {
                this.alarm = None;
                this.pump(ctx);
            });
            (at, handle)
        });
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.add_stream(WatchStream::from_changes(self.parts.config.target.token.changes()));
    }
}

/// A rotated token ends the wait for the next attempt.
impl StreamHandler<Arc<str>> for Batcher {
    fn handle(&mut self, _: Arc<str>, ctx: &mut Context<Self>) {
        self.breaker.retry_now();
        self.pump(ctx);
    }

    fn finished(&mut self, _: &mut Context<Self>) {}
}

impl Handler<Points> for Batcher {
    type Result = ();

    fn handle(&mut self, message: Points, ctx: &mut Context<Self>) {
        self.enqueue(message.points);
        self.pump(ctx);
    }
}

impl Handler<DrainBatcher> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: DrainBatcher, ctx: &mut Context<Self>) -> ResponseFuture<()> {
        self.drain_until = Some(Instant::now() + Duration::from_secs(self.parts.config.drain_secs));
        self.breaker.retry_now();
        let drained = self.drained.wait();
        self.pump(ctx);
        Box::pin(drained)
    }
}

impl Handler<StopIdle> for Batcher {
    type Result = ();

    fn handle(&mut self, _: StopIdle, ctx: &mut Context<Self>) {
        let closed = self.parts.target.clone().close().into_actor(self);
        ctx.spawn(closed.map(|_, _, ctx| ctx.stop()));
    }
}
