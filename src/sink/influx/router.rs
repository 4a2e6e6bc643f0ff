//! The batchers' owner: one batcher per tenant, made when its first line comes, made again after an exit, ended when it
//! has been idle, and spread over a few threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_rt::Arbiter;
use futures_util::future::join_all;
use serde_json::Value;
use slog::{Logger, error, info, o, warn};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::backend::Backend;
use super::batcher;
use super::batcher::{Batcher, BatcherExited, DrainBatcher, ExitGuard, StopIdle};
use super::batcher_life::BatcherThread;
use super::buffer_stats::{BufferStats, Buffers};
use super::server_health::ServerHealth;
use super::{Config, tenants};
use crate::delivery::Settlement;
use crate::message::{Drain, Point, Points, QuarantinePoints, TenantsRegistered};
use crate::metrics::{BatcherFigures, LineResult, Metrics};
use crate::outbox::policy::WritePolicy;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::spawn::{Place, SpawnContext, start_with};
use crate::runtime::stats::Stats;
use ingest_core::flow::backoff::Backoff;
use ingest_core::flow::disposition::Verdict;

/// How often the router looks after its batchers.
const TICK: Duration = Duration::from_secs(1);

/// First and longest pause before a tenant's batcher is made again after its exit.
const REST_MS: (u64, u64) = (100, 30_000);

/// A batcher that lived so long has earned a fresh start after its exit.
const SETTLED: Duration = Duration::from_secs(60);

/// What the router is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[influx]` settings.
    pub config: Config,
    /// Where points go.
    pub backend: Backend,
    /// Makes refused points durable.
    pub quarantine: Recipient<QuarantinePoints>,
    /// Gets the tenants' states, as `influx`.
    pub stats: Arc<Stats>,
}

/// Takes points and hands them to their tenant's batcher.
///
/// Sent to: [`Points`] by the Writer and by redelivery, [`TenantsRegistered`] by the Registry, [`BatcherExited`] by the
/// batchers, [`Drain`] by the supervisor.
pub(crate) struct Router {
    config: Arc<Config>,
    backend: Backend,
    metrics: Arc<Metrics>,
    log: Logger,
    actor_guard: ActorGuard,
    buffers: Arc<Buffers>,
    condition: Arc<ServerHealth>,
    tenants: HashMap<Arc<str>, Tenant>,
    threads: Vec<(Arbiter, BatcherThread)>,
    instances: u64,
    attempts_seen: u64,
    quarantine: Recipient<QuarantinePoints>,
    /// Tenants that are to have their databases.
    new_tenants: UnboundedSender<Arc<str>>,
    provisioning: Option<UnboundedReceiver<Arc<str>>>,
}

struct Tenant {
    buffer: Arc<BufferStats>,
    batcher: Option<Addr<Batcher>>,
    instance: u64,
    born: Instant,
    used: Instant,
    rest: Backoff,
    rests_until: Option<Instant>,
}

impl Router {
    /// A router without tenants. Start it within a running [`System`]: it starts threads of its own.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, config, mut backend, quarantine, stats } = parts;
        let SpawnContext { actor_guard, log, metrics, readiness, .. } = spawn;
        backend.count_in(&metrics.influx);
        let lost_as = match config.write_policy {
            WritePolicy::BestEffort => LineResult::Deferred,
            WritePolicy::Required => LineResult::Returned,
        };
        let buffers = Buffers::new(metrics.influx.clone(), lost_as, metrics.actors.traffic("batcher"));
        let shown = Arc::downgrade(&buffers);
        let read = move || shown.upgrade().map_or_else(BatcherFigures::default, |buffers| buffers.figures());
        metrics.influx.batchers_shown.read_from(read);
        let shown = Arc::downgrade(&buffers);
        stats.register("influx", move || shown.upgrade().map_or(Value::Null, |buffers| buffers.to_json()));
        let (new_tenants, provisioning) = unbounded_channel();
        Self {
            new_tenants,
            provisioning: Some(provisioning),
            config: Arc::new(config),
            backend,
            metrics,
            log,
            actor_guard,
            buffers,
            condition: ServerHealth::new(readiness),
            tenants: HashMap::new(),
            threads: Vec::new(),
            instances: 0,
            attempts_seen: 0,
            quarantine,
        }
    }

    /// The tenant's batcher, made where there is none; `None` in the pause after an exit.
    fn batcher(&mut self, tenant_id: &Arc<str>, now: Instant, ctx: &Context<Self>) -> Option<Addr<Batcher>> {
        if let Some(tenant) = self.tenants.get_mut(tenant_id) {
            tenant.used = now;
            if tenant.batcher.is_some() {
                return tenant.batcher.clone();
            }
            if tenant.rests_until.is_some_and(|until| now < until) {
                return None;
            }
        }
        let buffer = match self.tenants.get(tenant_id) {
            Some(tenant) => tenant.buffer.clone(),
            None => self.buffers.open(tenant_id),
        };
        self.instances += 1;
        let batcher = self.build(tenant_id, buffer.clone(), ctx);
        let tenant = self.tenants.entry(tenant_id.clone()).or_insert_with(|| Tenant {
            buffer,
            batcher: None,
            instance: 0,
            born: now,
            used: now,
            rest: Backoff::new(REST_MS.0, REST_MS.1),
            rests_until: None,
        });
        tenant.batcher = Some(batcher.clone());
        (tenant.instance, tenant.born, tenant.rests_until) = (self.instances, now, None);
        self.metrics.influx.batchers.inc();
        Some(batcher)
    }

    fn build(&self, tenant_id: &Arc<str>, buffer: Arc<BufferStats>, ctx: &Context<Self>) -> Addr<Batcher> {
        let router = ctx.address().downgrade();
        let parts = batcher::Parts {
            tenant_id: tenant_id.clone(),
            target: self.backend.open(tenant_id),
            is_sole: self.backend.is_per_tenant(),
            config: self.config.clone(),
            buffer: buffer.clone(),
            condition: self.condition.clone(),
            metrics: self.metrics.influx.clone(),
            quarantine: self.quarantine.clone(),
            log: self.log.new(o!("tenant_id" => tenant_id.to_string())),
        };
        let exit_guard =
            ExitGuard { tenant_id: tenant_id.clone(), instance: self.instances, router: router.recipient() };
        let (arbiter, thread) = &self.threads[self.instances as usize % self.threads.len()];
        let place = Place { thread: arbiter.handle(), traffic: buffer.life.begins(thread.clone()) };
        start_with(&place, move |_| Batcher::new(parts, exit_guard))
    }

    /// How many more lines a tenant's batcher may be given: where little is free, live lines get the rest of it.
    fn capacity(&self, buffer: &BufferStats, is_replay: bool) -> usize {
        let of = |most: usize| if is_replay { Config::redelivery_capacity(most) } else { most };
        let is_strained = self.config.write_policy == WritePolicy::Required && buffer.is_failing();
        let most = if is_strained { self.config.buffer.hold_lines } else { self.config.buffer.buffer_lines };
        // A tenant may hold as much as all of them leave free: however many fall behind, the next one finds room.
        let free = (of(self.config.buffer.buffer_total_bytes) as u64).saturating_sub(self.buffers.held_bytes());
        if buffer.held_bytes() >= free { 0 } else { of(most).saturating_sub(buffer.held_lines() as usize) }
    }

    /// Points that nobody can take now: deliveries go back to the broker, best-effort lines stay owed.
    fn nack_or_defer(&self, buffer: &BufferStats, points: Vec<Point>) {
        let mut settlement = Settlement::default();
        for point in points {
            let bytes = point.line.len() + 1;
            buffer.enqueue(1, bytes);
            let result = match point.guard {
                Some(guard) => {
                    settlement.add(guard, Verdict::Retry);
                    LineResult::Returned
                }
                None => LineResult::Deferred,
            };
            buffer.end(result, 1, bytes);
        }
        settlement.send();
    }

    fn tick(&mut self) {
        let attempts = self.buffers.attempts();
        if attempts != self.attempts_seen || self.buffers.is_waiting(Instant::now()) {
            self.attempts_seen = attempts;
            self.actor_guard.progress();
        }
        self.actor_guard.busy(self.buffers.held_lines() > 0);
        self.end_the_idle();
    }

    fn end_the_idle(&mut self) {
        let (now, idle) = (Instant::now(), Duration::from_secs(self.config.batch.idle_secs));
        self.tenants.retain(|tenant_id, tenant| {
            // All lines come through here, so nothing can be on its way to a batcher that owes nothing.
            let is_idle = tenant.used + idle <= now && tenant.buffer.held_lines() == 0;
            if is_idle {
                if let Some(batcher) = tenant.batcher.take() {
                    batcher.do_send(StopIdle);
                    self.metrics.influx.batchers.dec();
                }
                self.buffers.close(tenant_id);
            }
            !is_idle
        });
    }

    /// The tenant's batcher, where there is one.
    #[cfg(test)]
    pub(super) fn known_batcher(&self, tenant_id: &str) -> Option<Addr<Batcher>> {
        self.tenants.get(tenant_id)?.batcher.clone()
    }

    fn given_up(&self) -> u64 {
        let lines = &self.metrics.influx.lines;
        lines.of(LineResult::Deferred).get() + lines.of(LineResult::Returned).get()
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let thread = |number: usize| {
            let arbiter = Arbiter::new();
            let heartbeat = self.actor_guard.watch_thread(&arbiter.handle());
            (arbiter, BatcherThread { name: format!("batchers-{number}").into(), heartbeat })
        };
        self.threads = (0..self.config.batch.threads.max(1)).map(thread).collect();
        ctx.run_interval(TICK, |this, _| this.tick());
        if let Some(tenants) = self.provisioning.take() {
            let provision = tenants::provision(self.backend.clone(), tenants, self.log.clone());
            ctx.spawn(provision.into_actor(self));
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for (thread, _) in &self.threads {
            thread.stop();
        }
        for tenant in self.tenants.values() {
            self.metrics.influx.batchers.dec_by(i64::from(tenant.batcher.is_some()));
        }
    }
}

impl Handler<Points> for Router {
    type Result = ();

    fn handle(&mut self, message: Points, ctx: &mut Context<Self>) {
        let Points { tenant_id, mut points } = message;
        self.actor_guard.progress();
        self.actor_guard.busy(true);
        let batcher = self.batcher(&tenant_id, Instant::now(), ctx);
        let Some(buffer) = self.tenants.get(&tenant_id).map(|tenant| tenant.buffer.clone()) else { return };
        // The Writer and the replay send messages of their own: a message is of one kind.
        let is_replay = points.first().is_some_and(|point| point.owed.is_redelivered());
        let capacity = if batcher.is_some() { self.capacity(&buffer, is_replay) } else { 0 };
        if points.len() > capacity {
            self.nack_or_defer(&buffer, points.split_off(capacity));
        }
        if let Some(batcher) = batcher.filter(|_| !points.is_empty()) {
            buffer.enqueue(points.len(), points.iter().map(|point| point.line.len() + 1).sum());
            batcher.do_send(Points { tenant_id, points });
        }
    }
}

impl Handler<TenantsRegistered> for Router {
    type Result = ();

    fn handle(&mut self, TenantsRegistered(tenants): TenantsRegistered, _: &mut Context<Self>) {
        for tenant_id in tenants {
            // The task that makes databases ends with the process; nobody waits for it then.
            let _ = self.new_tenants.send(tenant_id);
        }
    }
}

impl Handler<BatcherExited> for Router {
    type Result = ();

    fn handle(&mut self, died: BatcherExited, _: &mut Context<Self>) {
        let Some(tenant) = self.tenants.get_mut(&died.tenant_id) else { return };
        if tenant.instance != died.instance || tenant.batcher.take().is_none() {
            return;
        }
        let now = Instant::now();
        if tenant.born + SETTLED <= now {
            tenant.rest.reset();
        }
        tenant.rests_until = Some(now + tenant.rest.next(fastrand::f64()));
        let lines = tenant.buffer.reset();
        self.metrics.influx.batchers.dec();
        self.metrics.actors.restarted("batcher");
        let cause = if died.panicked { "panicked" } else { "stopped" };
        self.metrics.actors.exited("batcher", cause);
        tenant.buffer.life.exited(cause);
        self.actor_guard.progress();
        error!(self.log, "a batcher died";
            "tenant_id" => %died.tenant_id, "panicked" => died.panicked, "lines" => lines);
    }
}

impl Handler<Drain> for Router {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        let batchers = self.tenants.values().filter_map(|tenant| tenant.batcher.as_ref());
        // A batcher that is gone has nothing left to write.
        let finished = join_all(batchers.map(|batcher| batcher.send(DrainBatcher)));
        let before = self.given_up();
        Box::pin(finished.into_actor(self).map(move |_, this, _| {
            let (given_up, unanswered) = (this.given_up() - before, this.buffers.held_lines());
            if given_up + unanswered > 0 {
                warn!(this.log, "lines were left unwritten"; "given_up" => given_up, "unanswered" => unanswered);
            } else {
                info!(this.log, "all lines are written");
            }
        }))
    }
}
