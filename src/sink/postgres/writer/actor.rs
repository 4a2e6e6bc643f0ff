//! The Writer: collects what is to be made durable into batches and sees each of them through.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::fut::{ActorFutureExt, wrap_future};
use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, SpawnHandle};
use deadpool_postgres::Pool;
use slog::warn;

use super::backlog::{Backlog, Role};
use super::faults::Faults;
use super::rejection_log::RejectionLog;
use crate::delivery::pending_ack::Outbox;
use crate::message::{Drain, QuarantinePoints, SettingsChanged, Write};
use crate::postgres::config::Config;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::spawn::SpawnContext;
use crate::sink::postgres::batch::Batch;
use crate::sink::postgres::downstream::Downstream;
use crate::sink::postgres::duty::Duty;
use crate::sink::postgres::quarantine::{Keep, PendingQuarantine};
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use crate::sink::postgres::queue::Queue;
use crate::sink::postgres::store::Store;
use ingest_core::flow::backoff::Backoff;
use ingest_core::message::rejection::Reason;

/// PostgreSQL is tried again at least this often: what waits is written within about a second of its return.
const RETRY_MAX_MS: u64 = 1_000;
const RETRY_FIRST_MS: u64 = 50;

/// The sum of the rejections is looked at so often.
const TICK: Duration = Duration::from_secs(1);

/// Days begin rarely; an hour leaves 71 tries before the last partition made ahead is used up.
const PARTITIONS_EVERY: Duration = Duration::from_secs(3_600);

/// What the writer is made of.
pub struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// What it is for.
    pub duty: Duty,
    /// The `[postgres]` settings.
    pub config: Config,
    /// Connections; survives the writer's generations.
    pub pool: Pool,
    /// Where points are recorded with their rows; `None` where nothing is owed (no points, or deliveries wait for them).
    pub outbox: Option<Outbox>,
    /// Where committed rows go next.
    pub downstream: Downstream,
}

/// Makes rows, rejections and side updates durable, then hands on and settles. One per node and [`Duty`].
///
/// A batch is flushed when it is full or its oldest item has waited for the flush interval, in one of several
/// transactions at a time. While none is free, the next batches grow: what bounds them is the consumers' window. A
/// batch is retried until it is stored; whether its deliveries are held so long is the consumers' decision. What
/// PostgreSQL does not take while it takes the rest waits in the backlog, and keeps no transaction.
pub struct Writer {
    pub(super) parts: Parts,
    pub(super) store: Arc<Store>,
    pub(super) policy: Arc<QuarantinePolicy>,
    pub(super) queue: Queue,
    /// Since when the oldest item of the queue waits.
    pub(super) waiting_since: Option<Instant>,
    /// Whether a timer will look when it has waited long enough.
    pub(super) timer: bool,
    pub(super) backlog: Backlog,
    /// Looks when the backlog is due.
    pub(super) backlog_timer: Option<(Instant, SpawnHandle)>,
    /// Transactions taken, those between two attempts included, and the items in them.
    pub(super) in_flight: usize,
    pub(super) items_in_flight: usize,
    /// How many of them are the backlog's.
    pub(super) backlog_in_flight: usize,
    /// Whether the last one was. With one transaction at a time they take turns.
    pub(super) was_backlog: bool,
    /// Batches stored so far.
    pub(super) successes: u64,
    pub(super) faults: Faults,
    pub(super) rejections: RejectionLog,
    pub(super) drained: DrainWaiters,
}

/// A batch on its way.
pub(super) struct Flush {
    pub(super) batch: Batch,
    pub(super) role: Role,
    /// The items that it began with.
    pub(super) items: usize,
    pub(super) began: Instant,
    /// The batches stored before it.
    pub(super) successes: u64,
    pub(super) backoff: Backoff,
}

impl Writer {
    /// A writer with nothing to do.
    pub fn new(parts: Parts) -> Self {
        let policy = Arc::new(QuarantinePolicy::new(parts.config.quarantine_cap_per_minute));
        let store = Store::new(
            parts.pool.clone(),
            &parts.config,
            parts.outbox.clone(),
            policy.clone(),
            parts.spawn.log.clone(),
        );
        Self {
            store: Arc::new(store),
            policy,
            faults: Faults::new(parts.spawn.log.clone(), parts.spawn.readiness.clone(), parts.duty),
            rejections: RejectionLog::new(parts.spawn.log.clone(), parts.duty.recent_rejections(&parts.spawn.metrics)),
            parts,
            queue: Queue::default(),
            waiting_since: None,
            timer: false,
            backlog: Backlog::default(),
            backlog_timer: None,
            in_flight: 0,
            items_in_flight: 0,
            backlog_in_flight: 0,
            was_backlog: false,
            successes: 0,
            drained: DrainWaiters::default(),
        }
    }

    /// Starts as many transactions as there is work and room for.
    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        while self.in_flight < self.parts.config.slots() {
            let Some((batch, role)) = self.next_batch() else { break };
            let items = batch.len();
            self.in_flight += 1;
            self.items_in_flight += items;
            self.backlog_in_flight += usize::from(!matches!(role, Role::Fresh));
            let backoff = Backoff::new(RETRY_FIRST_MS, RETRY_MAX_MS);
            let (began, successes) = (Instant::now(), self.successes);
            self.attempt(Flush { batch, role, items, began, successes, backoff }, ctx);
        }
        self.arm_timer(ctx);
        self.arm_backlog_timer(ctx);
        self.report_load();
        if self.items_in_flight == 0 && self.queue.is_empty() && self.backlog.is_empty() {
            if self.drained.is_awaited() {
                // The process may end before this actor does.
                self.rejections.end_period();
            }
            self.drained.notify();
        }
    }

    /// The backlog's next batch, unless that would take the last transaction from fresh work; else a fresh one.
    pub(super) fn next_batch(&mut self) -> Option<(Batch, Role)> {
        let is_fresh_due = self.is_fresh_due();
        let leaves_room = match self.parts.config.slots() {
            1 => !(is_fresh_due && self.was_backlog),
            slots => self.backlog_in_flight + 1 < slots,
        };
        let next = if leaves_room { self.backlog.next(&mut self.queue, Instant::now()) } else { None };
        self.was_backlog = next.is_some();
        if next.is_some() || !is_fresh_due {
            return next;
        }
        let batch = self.queue.take(2 * self.parts.config.batch_size.max(1));
        // What is left came after what was taken; it gets a full interval to become a full batch.
        self.waiting_since = (!self.queue.is_empty()).then(Instant::now);
        Some((batch, Role::Fresh))
    }

    pub(super) fn is_fresh_due(&self) -> bool {
        let open = self.queue.open_len();
        let is_due = open >= self.parts.config.batch_size.max(1)
            || self.drained.is_awaited()
            || self.waiting_since.is_some_and(|since| since.elapsed() >= self.interval());
        open > 0 && is_due
    }

    /// A transaction is free again.
    pub(super) fn release(&mut self, role: &Role, items: usize) {
        self.in_flight -= 1;
        self.items_in_flight -= items;
        self.backlog_in_flight -= usize::from(!matches!(role, Role::Fresh));
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.parts.config.flush_interval_ms)
    }

    pub(super) fn attempt(&mut self, mut flush: Flush, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        let attempt = async move {
            let result = store.store(&mut flush.batch).await;
            (flush, result)
        };
        ctx.spawn(wrap_future(attempt).map(|(flush, result), writer: &mut Self, ctx: &mut Context<Self>| {
            writer.parts.spawn.actor_guard.progress();
            match result {
                Ok(stored) => writer.stored(flush, stored),
                Err(failure) => writer.failed(flush, failure, ctx),
            }
            writer.flush(ctx);
        }));
    }

    pub(super) fn report_load(&self) {
        let load = self.queue.len() + self.backlog.len() + self.items_in_flight;
        if self.parts.duty == Duty::Messages {
            self.parts.spawn.metrics.postgres.buffered.set(load as i64);
        }
        self.parts.spawn.actor_guard.busy(load > 0);
    }

    pub(super) fn capped(&self, (keep, is_capped): (Keep, bool)) -> Keep {
        if is_capped {
            self.parts.spawn.metrics.postgres.quarantine_capped.inc();
        }
        keep
    }

    /// Something was queued.
    pub(super) fn queued(&mut self, ctx: &mut Context<Self>) {
        if self.waiting_since.is_none() && !self.queue.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
        self.flush(ctx);
    }

    /// Comes back when what waits has waited long enough. What has already is flushed as soon as a transaction is free.
    pub(super) fn arm_timer(&mut self, ctx: &mut Context<Self>) {
        let Some(left) = self.waiting_since.and_then(|since| self.interval().checked_sub(since.elapsed())) else {
            return;
        };
        if !self.timer {
            self.timer = true;
            ctx.run_later(left, |writer, ctx| {
                writer.timer = false;
                writer.flush(ctx);
            });
        }
    }

    /// Comes back when something of the backlog becomes due.
    pub(super) fn arm_backlog_timer(&mut self, ctx: &mut Context<Self>) {
        // What is due already goes as soon as a transaction is free.
        let Some(due) = self.backlog.due().filter(|due| *due > Instant::now()) else { return };
        match self.backlog_timer {
            Some((armed, _)) if armed <= due => return,
            Some((_, timer)) => drop(ctx.cancel_future(timer)),
            None => {}
        }
        let timer = ctx.run_later(due.saturating_duration_since(Instant::now()), |writer, ctx| {
            writer.backlog_timer = None;
            writer.flush(ctx);
        });
        self.backlog_timer = Some((due, timer));
    }

    pub(super) fn make_partitions(&mut self, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let log = self.parts.spawn.log.clone();
        ctx.spawn(wrap_future(async move {
            if let Err(failure) = store.make_partitions(now_us).await {
                // A batch that needs one makes it itself.
                warn!(log, "partitions were not made ahead"; "error" => %failure);
            }
        }));
    }
}

impl Writer {
    /// Asks whether an outage that began before this writer is over: its messages may be another replica's by now, so that
    /// nothing else would show it.
    fn ask_whether_over(&mut self, ctx: &mut Context<Self>) {
        if !self.faults.is_inherited() {
            return;
        }
        let store = self.store.clone();
        ctx.spawn(wrap_future(async move { store.ask().await }).map(|answer, writer: &mut Self, ctx| match answer {
            Ok(()) => writer.faults.answered(&writer.backlog),
            Err(_) => drop(ctx.run_later(Duration::from_millis(RETRY_MAX_MS), Self::ask_whether_over)),
        }));
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.ask_whether_over(ctx);
        ctx.run_interval(TICK, |writer, _| writer.rejections.tick(Instant::now()));
        if self.parts.duty == Duty::RejectedPoints {
            return;
        }
        self.make_partitions(ctx);
        ctx.run_interval(PARTITIONS_EVERY, |writer, ctx| writer.make_partitions(ctx));
    }
}

impl Handler<Write> for Writer {
    type Result = ();

    fn handle(&mut self, chunk: Write, ctx: &mut Self::Context) {
        for (delivery, mut refusal) in chunk.rejections {
            self.policy.name_stranger(&delivery.origin, &mut refusal);
            let has_rows = delivery.origin.has_rows();
            let decided = if delivery.is_replay() {
                // Its event is there already, or it is refused for another reason now: no flood, an operator's doing.
                (Keep::STORED, false)
            } else {
                self.policy.decide(&delivery.origin, &refusal, has_rows)
            };
            let keep = self.capped(decided);
            self.queue.append([PendingQuarantine::message(delivery, refusal, keep)]);
        }
        self.queue.append(chunk.events);
        self.queue.append(chunk.shadows);
        self.queue.append(chunk.acks);
        self.queued(ctx);
    }
}

impl Handler<QuarantinePoints> for Writer {
    type Result = ();

    fn handle(&mut self, refuse: QuarantinePoints, ctx: &mut Self::Context) {
        self.parts.spawn.metrics.validation.rejections.of(Reason::PointRefused).inc_by(refuse.points.len() as u64);
        for point in refuse.points {
            let keep = self.capped(self.policy.decide_point(&point));
            self.queue.append([PendingQuarantine::point(point, keep)]);
        }
        self.queued(ctx);
    }
}

impl Handler<SettingsChanged> for Writer {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, _: &mut Self::Context) {
        self.policy.configure(settings.store_rejects, settings.mirrors_rejects());
    }
}

impl Handler<Drain> for Writer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let drained = self.drained.wait();
        self.backlog.retry_now(Instant::now());
        self.flush(ctx);
        Box::pin(drained)
    }
}
