//! The Writer: collects what is to be made durable into batches and sees each of them through.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::fut::{ActorFutureExt, wrap_future};
use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture};
use deadpool_postgres::Pool;
use slog::{Logger, error, info, warn};

use super::Config;
use super::batch::{Batch, Manner, Queue};
use super::classify::Failure;
use super::outlets::Outlets;
use super::quarantine::{Gate, Keep, Refused};
use super::store::{Store, Stored};
use crate::core::backoff::Backoff;
use crate::core::rejection::Reason;
use crate::debt::Outbox;
use crate::delivery::Lane;
use crate::drained::Drained;
use crate::failpoint;
use crate::health::{Health, Part};
use crate::lifeline::Lifeline;
use crate::message::{Drain, Refuse, SettingsChanged, Write};
use crate::metrics::{Effect, FlushResult, Metrics};
use crate::sink::Fault;

/// PostgreSQL is tried again at least this often: what waits is written within about a second of its return.
const RETRY_MAX_MS: u64 = 1_000;
const RETRY_FIRST_MS: u64 = 50;

/// Most items of a batch that is written in isolation: keeps its transaction short however much of it is refused.
const ISOLATED_SIZE: usize = 256;

/// Days begin rarely; an hour leaves 71 tries before the last partition made ahead is used up.
const PARTITIONS_EVERY: Duration = Duration::from_secs(3_600);

/// What the writer is made of.
pub struct Parts {
    /// The `[postgres]` settings.
    pub config: Config,
    /// Connections; survives the writer's generations.
    pub pool: Pool,
    /// Where points are recorded with their rows; `None` where nothing is owed (no points, or deliveries wait for them).
    pub outbox: Option<Outbox>,
    /// Where committed rows go next.
    pub outlets: Outlets,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The readiness board.
    pub health: Arc<Health>,
    /// Its log.
    pub log: Logger,
    /// Its lifeline.
    pub lifeline: Lifeline,
}

/// Makes rows, refusals and side updates durable, then hands on and settles. One per node.
///
/// A batch is flushed when it is full or its oldest item has waited for the flush interval, in one of several
/// transactions at a time. While none is free, the next batches grow: what bounds them is the consumers' window. A
/// batch is retried until it is stored; whether its deliveries are held so long is the consumers' decision.
pub struct Writer {
    parts: Parts,
    store: Arc<Store>,
    gate: Gate,
    queue: Queue,
    /// Since when the oldest item of the queue waits.
    waiting_since: Option<Instant>,
    /// Whether a timer will look when it has waited long enough.
    timer: bool,
    /// Parts of batches of which something was refused; they go first.
    suspects: VecDeque<Batch>,
    /// Transactions taken, those between two attempts included, and the items in them.
    in_flight: usize,
    items_in_flight: usize,
    /// The faults since the last success: each is said once.
    faults: Vec<Fault>,
    drained: Drained,
}

/// A batch on its way.
struct Flush {
    batch: Batch,
    began: Instant,
    backoff: Backoff,
}

impl Writer {
    /// A writer with nothing to do.
    pub fn new(parts: Parts) -> Self {
        Self {
            store: Arc::new(Store::new(parts.pool.clone(), &parts.config, parts.outbox.clone(), parts.log.clone())),
            gate: Gate::new(parts.config.quarantine_cap_per_minute),
            parts,
            queue: Queue::default(),
            waiting_since: None,
            timer: false,
            suspects: VecDeque::new(),
            in_flight: 0,
            items_in_flight: 0,
            faults: Vec::new(),
            drained: Drained::default(),
        }
    }

    /// Starts as many transactions as there is work and room for.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        while self.in_flight < self.parts.config.slots() {
            let Some(batch) = self.next_batch() else { break };
            self.in_flight += 1;
            self.items_in_flight += batch.len();
            let backoff = Backoff::new(RETRY_FIRST_MS, RETRY_MAX_MS);
            self.attempt(Flush { batch, began: Instant::now(), backoff }, ctx);
        }
        self.arm_timer(ctx);
        self.report_load();
        if self.items_in_flight == 0 && self.queue.is_empty() && self.suspects.is_empty() {
            self.drained.tell();
        }
    }

    fn next_batch(&mut self) -> Option<Batch> {
        if let Some(batch) = self.suspects.pop_front() {
            return Some(batch);
        }
        let size = self.parts.config.batch_size.max(1);
        let is_due = self.queue.len() >= size
            || self.drained.is_awaited()
            || self.waiting_since.is_some_and(|since| since.elapsed() >= self.interval());
        if self.queue.is_empty() || !is_due {
            return None;
        }
        let batch = self.queue.take(2 * size);
        // What is left came after what was taken; it gets a full interval to become a full batch.
        self.waiting_since = (!self.queue.is_empty()).then(Instant::now);
        Some(batch)
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.parts.config.flush_interval_ms)
    }

    fn attempt(&mut self, mut flush: Flush, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        let attempt = async move {
            let result = store.store(&mut flush.batch).await;
            (flush, result)
        };
        ctx.spawn(wrap_future(attempt).map(|(flush, result), writer: &mut Self, ctx: &mut Context<Self>| {
            writer.parts.lifeline.progress();
            match result {
                Ok(stored) => writer.stored(flush, stored),
                Err(failure) => writer.failed(flush, failure, ctx),
            }
            writer.flush(ctx);
        }));
    }

    /// The batch is durable.
    fn stored(&mut self, flush: Flush, stored: Stored) {
        failpoint::pass("writer-committed");
        let Flush { batch, began, .. } = flush;
        if !self.faults.is_empty() {
            self.faults.clear();
            info!(self.parts.log, "postgresql takes writes again");
            self.parts.health.up(Part::Postgres);
        }
        self.in_flight -= 1;
        self.items_in_flight -= batch.len();
        self.count(&batch, stored, began.elapsed());
        self.parts.outlets.hand_on(batch);
    }

    fn failed(&mut self, mut flush: Flush, failure: Failure, ctx: &mut Context<Self>) {
        let manner = flush.batch.manner;
        match failure {
            Failure::Duplicate if manner == Manner::Straight => {
                flush.batch.manner = Manner::Staged;
                self.attempt(flush, ctx);
            }
            Failure::Fault(Fault::Poison { .. }) if manner != Manner::Isolated => {
                self.in_flight -= 1;
                self.items_in_flight -= flush.batch.len();
                self.suspects.extend(flush.batch.split(ISOLATED_SIZE));
            }
            failure => self.retry_later(flush, failure, ctx),
        }
    }

    fn retry_later(&mut self, mut flush: Flush, failure: Failure, ctx: &mut Context<Self>) {
        let fault = match failure {
            Failure::Fault(fault) => fault,
            Failure::Duplicate => Fault::Fatal("a key of an unknown table is in the way".to_owned()),
            Failure::MissingPartition => Fault::Fatal("raw_events has no partition for a row's day".to_owned()),
        };
        self.parts.metrics.postgres.flushes.of(FlushResult::Failed).inc();
        self.say(fault);
        // Whatever became of this attempt, it may have stored the batch.
        flush.batch.manner = flush.batch.manner.max(Manner::Staged);
        let delay = flush.backoff.next(fastrand::f64());
        ctx.run_later(delay, |writer, ctx| writer.attempt(flush, ctx));
    }

    /// Says a fault in the log and on the health board; the same one only once.
    fn say(&mut self, fault: Fault) {
        let words = match &fault {
            Fault::Transient(words) | Fault::Fatal(words) | Fault::Poison { message: words, .. } => words.clone(),
        };
        if !self.faults.contains(&fault) {
            match &fault {
                Fault::Fatal(_) => {
                    error!(self.parts.log, "postgresql is not set up for this node, holding"; "error" => &words)
                }
                _ => warn!(self.parts.log, "postgresql does not take writes, holding"; "error" => &words),
            }
            self.faults.push(fault);
        }
        self.parts.health.down(Part::Postgres, words);
    }

    fn count(&self, batch: &Batch, stored: Stored, took: Duration) {
        let metrics = &self.parts.metrics.postgres;
        metrics.rows.inc_by(stored.rows);
        metrics.duplicates_suppressed.inc_by(stored.duplicates);
        metrics.quarantined.inc_by(stored.quarantined);
        metrics.flush_seconds.observe(took.as_secs_f64());
        let unchanged = |all: usize, changed: u64| (all as u64).saturating_sub(changed);
        metrics.shadow_reports.of(Effect::Applied).inc_by(stored.shadows);
        metrics.shadow_reports.of(Effect::Unchanged).inc_by(unchanged(batch.shadows.len(), stored.shadows));
        metrics.command_acks.of(Effect::Applied).inc_by(stored.acks);
        metrics.command_acks.of(Effect::Unchanged).inc_by(unchanged(batch.acks.len(), stored.acks));

        let refused_rows =
            batch.refusals.iter().filter(|one| one.refusal.rejection.reason == Reason::RowRefused).collect::<Vec<_>>();
        if let Some(first) = refused_rows.first() {
            self.parts.metrics.validation.rejections.of(Reason::RowRefused).inc_by(refused_rows.len() as u64);
            warn!(self.parts.log, "postgresql refused rows, they are in the quarantine";
                "rows" => refused_rows.len(), "first_error" => %first.refusal.rejection.detail);
        }
        if stored.unkept > 0 {
            error!(self.parts.log, "the quarantine can't hold some refusals, they are only counted"; "count" => stored.unkept);
        }
        let result = if refused_rows.is_empty() { FlushResult::Ok } else { FlushResult::Partial };
        metrics.flushes.of(result).inc();
    }

    fn report_load(&self) {
        let suspects: usize = self.suspects.iter().map(Batch::len).sum();
        let load = self.queue.len() + suspects + self.items_in_flight;
        self.parts.metrics.postgres.buffered.set(load as i64);
        self.parts.lifeline.busy(load > 0);
    }

    /// Something was queued.
    fn queued(&mut self, ctx: &mut Context<Self>) {
        if self.waiting_since.is_none() && !self.queue.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
        self.flush(ctx);
    }

    /// Comes back when what waits has waited long enough. What has already is flushed as soon as a transaction is free.
    fn arm_timer(&mut self, ctx: &mut Context<Self>) {
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

    fn make_partitions(&mut self, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let log = self.parts.log.clone();
        ctx.spawn(wrap_future(async move {
            if let Err(failure) = store.make_partitions(now_us).await {
                // A batch that needs one makes it itself.
                warn!(log, "partitions were not made ahead"; "error" => ?failure);
            }
        }));
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.make_partitions(ctx);
        ctx.run_interval(PARTITIONS_EVERY, |writer, ctx| writer.make_partitions(ctx));
    }
}

impl Handler<Write> for Writer {
    type Result = ();

    fn handle(&mut self, mut chunk: Write, ctx: &mut Self::Context) {
        for (delivery, refusal) in std::mem::take(&mut chunk.refusals) {
            let has_rows = *delivery.origin.stream == *Lane::Telemetry.stream();
            let (keep, capped) = if delivery.is_replay() {
                // Its event is there already, or it is refused for another reason now: no flood, an operator's doing.
                (Keep::STORED, false)
            } else {
                self.gate.decide(&delivery.origin, &refusal, has_rows)
            };
            if capped {
                self.parts.metrics.postgres.quarantine_capped.inc();
            }
            self.queue.refuse(Refused::message(delivery, refusal, keep));
        }
        self.queue.append(chunk);
        self.queued(ctx);
    }
}

impl Handler<Refuse> for Writer {
    type Result = ();

    fn handle(&mut self, refuse: Refuse, ctx: &mut Self::Context) {
        self.parts.metrics.validation.rejections.of(Reason::PointRefused).inc_by(refuse.points.len() as u64);
        for point in refuse.points {
            self.queue.refuse(Refused::point(point));
        }
        self.queued(ctx);
    }
}

impl Handler<SettingsChanged> for Writer {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, _: &mut Self::Context) {
        self.gate.store_rejects = settings.store_rejects;
        self.gate.mirror_rejects = settings.mirrors_rejects();
    }
}

impl Handler<Drain> for Writer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let drained = self.drained.wait();
        self.flush(ctx);
        Box::pin(drained)
    }
}
