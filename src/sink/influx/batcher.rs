//! One tenant's lines on their way: collects them into batches, writes the batches, and ends every line exactly once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::WeakRecipient;
use actix::prelude::*;
use slog::{Logger, debug, error, info, warn};

use super::Config;
use super::account::Account;
use super::batch::{Batch, Entry, Filling};
use super::breaker::{Breaker, Round, Severity};
use super::classify::{Cause, Outcome, RefusedLine};
use super::target::Target;
use crate::core::backoff::Backoff;
use crate::core::disposition::Verdict;
use crate::core::field_types::{FieldTypes, Fitted};
use crate::core::line_protocol::Skipped;
use crate::delivery::{Settlement, Ticket};
use crate::drained::Drained;
use crate::failpoint;
use crate::message::{Point, Points, Refuse, RefusedPoint};
use crate::metrics::{FlushResult, InfluxMetrics, LineResult};
use crate::sink::Fault;

/// A batch is full at this size too: InfluxDB takes 10 MiB unless it is told otherwise.
const FULL_BYTES: usize = 8 * 1024 * 1024;

/// A request that is under way for so long keeps others waiting: InfluxDB answers within its WAL flush interval.
const STALLED: Duration = Duration::from_secs(5);

/// A batch that failed so often, each time after another one had been written, is taken for the cause.
const STUBBORN: u32 = 5;

/// What a batcher is made of.
pub struct Parts {
    /// Whose lines.
    pub tenant_id: Arc<str>,
    /// Where they go.
    pub target: Target,
    /// The `[influx]` settings.
    pub config: Arc<Config>,
    /// The tenant's account.
    pub account: Arc<Account>,
    /// The room's metrics.
    pub metrics: InfluxMetrics,
    /// Takes refused points on to the quarantine. Weak: the router must be able to go.
    pub refuse: WeakRecipient<Refuse>,
    /// The tenant's log.
    pub log: Logger,
}

/// Tells the router that a batcher is gone, for whatever reason: held as long as it lives.
pub struct Obituary {
    /// Whose batcher.
    pub tenant_id: Arc<str>,
    /// Which of the tenant's batchers, one after another.
    pub incarnation: u64,
    /// The router.
    pub router: WeakRecipient<Died>,
}

/// A batcher is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Died {
    /// Whose batcher.
    pub tenant_id: Arc<str>,
    /// Which of the tenant's batchers.
    pub incarnation: u64,
    /// Whether it was a panic.
    pub panicked: bool,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if let Some(router) = self.router.upgrade() {
            let panicked = std::thread::panicking();
            router.do_send(Died { tenant_id: self.tenant_id.clone(), incarnation: self.incarnation, panicked });
        }
    }
}

/// Router to Batcher: write what you have, then answer. What a failing database does not take by then is given up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Finish;

/// Router to Batcher: nothing is left for you; go.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// What became of a point that was made to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Same,
    Changed,
    Nothing,
}

/// One tenant's batcher.
pub struct Batcher {
    _obituary: Obituary,
    parts: Parts,
    breaker: Breaker,
    types: FieldTypes,
    filling: Filling,
    /// Full batches and those to be tried again, the oldest first.
    ready: VecDeque<Batch>,
    /// When the requests under way were sent, the oldest first.
    flights: VecDeque<(u64, Instant)>,
    flights_sent: u64,
    alarm: Option<(Instant, SpawnHandle)>,
    /// What the log was told last: a database that is away is news once.
    told: String,
    drained: Drained,
    drain_until: Option<Instant>,
    closing: bool,
}

impl Batcher {
    /// A batcher with nothing to do yet.
    pub fn new(parts: Parts, obituary: Obituary) -> Self {
        let config = &parts.config;
        let backoff = Backoff::new(config.retry_delay_ms, config.retry_delay_max_ms);
        Self {
            _obituary: obituary,
            breaker: Breaker::new(backoff, config.breaker_failures.max(1)),
            parts,
            types: FieldTypes::default(),
            filling: Filling::default(),
            ready: VecDeque::new(),
            flights: VecDeque::new(),
            flights_sent: 0,
            alarm: None,
            told: String::new(),
            drained: Drained::default(),
            drain_until: None,
            closing: false,
        }
    }

    fn take_in(&mut self, points: Vec<Point>) {
        let now = Instant::now();
        let full = self.parts.config.batch_size.max(1);
        let mut refused = Vec::new();
        for mut point in points {
            if !self.types.is_empty() && self.fit(&mut point) == Fit::Nothing {
                refused.push(self.refused(point, "its columns hold other types than its values".to_owned()));
                continue;
            }
            self.filling.push(point, now);
            if self.filling.len() >= full || self.filling.bytes() >= FULL_BYTES {
                self.ready.extend(self.filling.seal());
            }
        }
        self.refuse(refused);
    }

    /// Makes a point fit its columns, as far as they are known.
    fn fit(&self, point: &mut Point) -> Fit {
        match self.types.fit(&point.line) {
            Fitted::AsIs => Fit::Same,
            Fitted::Changed { line, skipped } => {
                if skipped > 0 {
                    self.parts.metrics.fields_skipped.of(Skipped::TypeConflict).inc_by(skipped);
                }
                self.parts.account.shrink(point.line.len() - line.len());
                point.line = line;
                Fit::Changed
            }
            Fitted::Nothing => Fit::Nothing,
        }
    }

    /// Sends what may be sent, gives back what should not be held, and sets the alarm for the next look.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while self.flights.len() < self.permits(now) {
            let Some(batch) = self.next_batch(now) else { break };
            self.send(batch, now, ctx);
        }
        self.give_back(now);
        self.finish_drain(now, ctx);
        self.parts.account.set_state(self.is_troubled(now), self.breaker.is_open());
        self.set_alarm(now, ctx);
    }

    fn permits(&self, now: Instant) -> usize {
        self.breaker.permits(now, self.parts.target.most_in_flight(self.parts.config.max_in_flight))
    }

    fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        if let Some(batch) = self.ready.pop_front() {
            return Some(batch);
        }
        let is_due = self.drain_until.is_some() || self.due_at().is_some_and(|due_at| due_at <= now);
        if is_due { self.filling.seal() } else { None }
    }

    fn due_at(&self) -> Option<Instant> {
        Some(self.filling.since()? + Duration::from_millis(self.parts.config.flush_interval_ms))
    }

    fn send(&mut self, batch: Batch, now: Instant, ctx: &mut Context<Self>) {
        failpoint::pass("batcher");
        self.flights_sent += 1;
        let flight = self.flights_sent;
        self.flights.push_back((flight, now));
        self.parts.account.request_sent();
        let round = self.breaker.round();
        let answer = self.parts.target.clone().write(batch.body(), batch.len(), batch.is_required());
        ctx.spawn(answer.into_actor(self).map(move |outcome, this, ctx| {
            this.flights.retain(|(other, _)| *other != flight);
            this.parts.metrics.flush_seconds.observe(now.elapsed().as_secs_f64());
            this.landed(batch, round, outcome);
            this.pump(ctx);
        }));
    }

    /// A request has ended: what that means for its lines, and for those after them.
    fn landed(&mut self, batch: Batch, round: Round, outcome: Outcome) {
        let flushes = &self.parts.metrics.flushes;
        match &outcome {
            Outcome::Written => flushes.of(FlushResult::Ok).inc(),
            Outcome::Refused { rest_written: true, .. } => flushes.of(FlushResult::Partial).inc(),
            _ => flushes.of(FlushResult::Failed).inc(),
        };
        match outcome {
            Outcome::Failed { fault, retry_after } => {
                self.failed(round, fault, retry_after);
                self.try_again(batch);
                return;
            }
            Outcome::Written => self.end(batch, LineResult::Ok),
            Outcome::Refused { lines, rest_written } => self.sort_out(batch, lines, rest_written),
            Outcome::Halve(message) => match batch.halve() {
                (first, Some(second)) => {
                    self.ready.push_front(second);
                    self.ready.push_front(first);
                }
                (single, None) => {
                    let line = RefusedLine { index: 0, message, cause: Cause::Line };
                    self.sort_out(single, vec![line], true);
                }
            },
        }
        self.parts.account.request_ended(None);
        if self.breaker.succeeded(round) {
            info!(self.parts.log, "influxdb takes writes again"; "held_lines" => self.parts.account.held_lines());
            self.told.clear();
        }
    }

    fn failed(&mut self, round: Round, fault: Fault, wish: Option<Duration>) {
        let (severity, message) = match fault {
            Fault::Fatal(message) => (Severity::Lasting, message),
            Fault::Transient(message) | Fault::Poison { message, .. } => (Severity::Passing, message),
        };
        self.parts.account.request_ended(Some(&message));
        let opened = self.breaker.failed(round, severity, wish, Instant::now(), fastrand::f64());
        let log = &self.parts.log;
        match severity {
            Severity::Lasting if self.told != message => {
                error!(log, "influxdb refuses all writes of a tenant; they are kept"; "error" => &message);
                self.told = message;
            }
            Severity::Passing if opened => {
                warn!(log, "influxdb does not take writes; trying on"; "error" => &message);
                self.told = message;
            }
            _ => debug!(log, "influxdb did not take a batch"; "error" => message),
        }
    }

    /// A failed batch goes behind the others: whatever is wrong with it, they get their turn. One that fails again and
    /// again while others succeed is cut down to the line that it fails for, and that one is given up.
    fn try_again(&mut self, mut batch: Batch) {
        batch.failures += 1;
        if batch.failures < STUBBORN || self.breaker.failures() != 1 {
            self.ready.push_back(batch);
            return;
        }
        match batch.halve() {
            (first, Some(second)) => self.ready.extend([first, second]),
            (single, None) => {
                warn!(self.parts.log, "influxdb fails again and again at one line; it stays owed");
                self.abandon(single);
            }
        }
    }

    /// Lines were refused by name: those that can be written in another form are, the others go to the quarantine.
    fn sort_out(&mut self, batch: Batch, lines: Vec<RefusedLine>, rest_written: bool) {
        let since = batch.since();
        let (taken, rest) = batch.take(lines);
        match rest {
            Some(rest) if rest_written => self.end(rest, LineResult::Ok),
            Some(rest) => self.ready.push_front(rest),
            None => {}
        }
        let (mut repaired, mut refused, mut no_room) = (Filling::default(), Vec::new(), Vec::new());
        for (mut point, RefusedLine { message, cause, .. }) in taken {
            match cause {
                Cause::Type(conflict) => {
                    self.types.learn(&point.line, conflict);
                    match self.fit(&mut point) {
                        Fit::Changed => repaired.push(point, since),
                        Fit::Same | Fit::Nothing => refused.push(self.refused(point, message)),
                    }
                }
                Cause::NoRoom => {
                    self.parts.account.remember(&message);
                    no_room.push(point);
                }
                Cause::Line => refused.push(self.refused(point, message)),
            }
        }
        if let Some(repaired) = repaired.seal() {
            self.ready.push_front(repaired);
        }
        self.leave_owed(no_room);
        self.refuse(refused);
    }

    /// Lines for which the server has no table: nothing is wrong with them, and nothing but an operator can help.
    fn leave_owed(&mut self, points: Vec<Point>) {
        if points.is_empty() {
            return;
        }
        const TOLD: &str = "no room for another table";
        if self.told != TOLD {
            error!(self.parts.log, "influxdb has no room for another table; the lines of this one stay owed";
                "lines" => points.len());
            TOLD.clone_into(&mut self.told);
        }
        let mut settlement = Settlement::default();
        for point in points {
            let result = give_up(point.ticket, &mut settlement);
            self.parts.account.end(result, 1, point.line.len() + 1);
        }
        settlement.send();
    }

    fn refused(&self, point: Point, message: String) -> RefusedPoint {
        let Point { line, origin, ticket } = point;
        self.parts.account.end(LineResult::Refused, 1, line.len() + 1);
        RefusedPoint { tenant_id: self.parts.tenant_id.clone(), origin, line, message, ticket }
    }

    fn refuse(&self, points: Vec<RefusedPoint>) {
        let Some(first) = points.first() else { return };
        // The server's words may repeat a value.
        debug!(self.parts.log, "a line was refused"; "message" => &first.message);
        warn!(self.parts.log, "influxdb refused lines"; "lines" => points.len());
        if let Some(router) = self.parts.refuse.upgrade() {
            router.do_send(Refuse { points });
        }
    }

    /// All lines of a batch have met the same fate.
    fn end(&self, batch: Batch, result: LineResult) {
        let (lines, bytes) = (batch.len(), batch.body().len());
        let mut settlement = Settlement::default();
        for Entry { ticket, .. } in batch.into_entries() {
            if result == LineResult::Ok {
                if let Some(ticket) = ticket {
                    settlement.add(ticket, Verdict::Done);
                }
            } else {
                give_up(ticket, &mut settlement);
            }
        }
        settlement.send();
        self.parts.account.end(result, lines, bytes);
    }

    /// Gives up a batch for now: deliveries go back to the broker, best-effort lines stay owed.
    fn abandon(&self, batch: Batch) {
        let result = if batch.is_required() { LineResult::Returned } else { LineResult::Deferred };
        self.end(batch, result);
    }

    fn is_troubled(&self, now: Instant) -> bool {
        self.breaker.is_troubled() || self.flights.front().is_some_and(|(_, sent)| *sent + STALLED <= now)
    }

    /// While the database is in trouble, only so many deliveries are held, and only so long: they are credit that the
    /// other tenants need.
    fn give_back(&mut self, now: Instant) {
        if !self.is_troubled(now) {
            return;
        }
        let config = self.parts.config.clone();
        let hold = Duration::from_secs(config.hold_secs);
        if self.filling.is_required() && self.ready.iter().map(Batch::len).sum::<usize>() >= config.hold_lines {
            self.ready.extend(self.filling.seal());
        }
        let (mut kept, mut lines) = (VecDeque::with_capacity(self.ready.len()), 0);
        for batch in std::mem::take(&mut self.ready) {
            let is_over = lines + batch.len() > config.hold_lines || batch.since() + hold <= now;
            if batch.is_required() && is_over {
                self.abandon(batch);
            } else {
                lines += batch.len();
                kept.push_back(batch);
            }
        }
        self.ready = kept;
    }

    /// Answers a drain when nothing is left, or nothing more can be done.
    fn finish_drain(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(until) = self.drain_until else { return };
        let is_hopeless = self.breaker.is_open() && self.breaker.resumes_at(now).is_some();
        if until <= now || is_hopeless {
            for batch in std::mem::take(&mut self.ready).into_iter().chain(self.filling.seal()) {
                self.abandon(batch);
            }
        }
        let is_empty = self.ready.is_empty() && self.filling.since().is_none() && self.flights.is_empty();
        if (is_empty || until <= now) && self.drained.is_awaited() && !self.closing {
            self.closing = true;
            let closed = self.parts.target.clone().close().into_actor(self);
            ctx.spawn(closed.map(|outcome, this, _| {
                if let Outcome::Failed { fault, .. } = outcome {
                    error!(this.parts.log, "lines may not be durable"; "error" => ?fault);
                }
                this.closing = false;
                this.drained.tell();
            }));
        }
    }

    /// Sets the alarm for the next moment at which time alone changes something.
    fn set_alarm(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let has_batches = !self.ready.is_empty();
        let has_slot = self.flights.len() < self.permits(now);
        let hold = Duration::from_secs(self.parts.config.hold_secs);
        let moments = [
            self.due_at().filter(|_| has_slot),
            self.breaker.resumes_at(now).filter(|_| has_batches || self.filling.since().is_some()),
            self.ready.front().filter(|batch| batch.is_required()).map(|batch| batch.since() + hold),
            self.flights.front().map(|(_, sent)| *sent + STALLED),
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

/// Hands a delivery back to the broker; without one, the line stays owed.
fn give_up(ticket: Option<Ticket>, settlement: &mut Settlement) -> LineResult {
    match ticket {
        Some(ticket) => {
            settlement.add(ticket, Verdict::Retry);
            LineResult::Returned
        }
        None => LineResult::Deferred,
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;
}

impl Handler<Points> for Batcher {
    type Result = ();

    fn handle(&mut self, message: Points, ctx: &mut Context<Self>) {
        self.take_in(message.points);
        self.pump(ctx);
    }
}

impl Handler<Finish> for Batcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Finish, ctx: &mut Context<Self>) -> ResponseFuture<()> {
        self.drain_until = Some(Instant::now() + Duration::from_secs(self.parts.config.drain_secs));
        self.breaker.hurry();
        let drained = self.drained.wait();
        self.pump(ctx);
        Box::pin(drained)
    }
}

impl Handler<Retire> for Batcher {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        let closed = self.parts.target.clone().close().into_actor(self);
        ctx.spawn(closed.map(|_, _, ctx| ctx.stop()));
    }
}
