//! The Publisher: sends the jobs of committed rows to the stream and settles their deliveries when it has them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use async_nats::jetstream::Context as JetStream;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, Subject};
use futures_util::future::join_all;
use slog::{error, info, warn};

use super::backlog::{Backlog, RETRY_FIRST};
use super::budget::Budget;
use super::message::{EncodedJob, PendingPublish, RouteMessage};
use super::{Config, classify, stream};
use crate::delivery::Settlement;
use crate::message::{Drain, Publish, RouteJobs};
use crate::metrics::Outcome;
use crate::nats::provision::Provisioner;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::failpoint;
use crate::runtime::fault::Fault;
use crate::runtime::spawn::SpawnContext;
use ingest_core::flow::backoff::delay_for_attempt;
use ingest_core::flow::disposition::Verdict;

/// Bodies of jobs under way at once: some thousand usual ones.
const BODY_BYTES: usize = 7 * 1024 * 1024;
/// The same for the jobs that probe refused tenants.
const PROBE_BYTES: usize = 1024 * 1024;
/// Longest pause between two looks for the stream.
const ENSURE_MAX: Duration = Duration::from_secs(10);
/// How often the stream's settings are read: they may change, and it may be gone while there are no jobs.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Different faults that are logged; the broker's words are few.
const MAX_FAULTS: usize = 16;
/// The remark about jobs that the stream does not take.
const REMARK: &str = "route jobs";

/// What the publisher is made of.
pub struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[routes]` settings.
    pub config: Config,
    /// A connection of its own: what fans out must not stand before the acknowledgements of what comes in.
    pub client: Client,
    /// Finds or makes the stream.
    pub streams: Provisioner,
}

/// Publishes jobs, as many as may be under way in one attempt. Their bodies are written for the attempt and not before:
/// what waits is the message's payload and which routes it matches.
///
/// A tenant whose jobs the stream does not take is probed by itself ([`Backlog`]) and does not hold up the others. Its
/// deliveries are handed back when they have waited for `retry_secs`, and at once where too many are held already.
pub struct Publisher {
    parts: Parts,
    jetstream: Option<JetStream>,
    backlog: Backlog,
    /// Whether an attempt is under way, and whether probes are.
    attempting: bool,
    probing: bool,
    /// Whether a timer will look after refused tenants.
    timer: bool,
    /// The faults since everything was taken; each is logged once.
    faults: Vec<String>,
    /// Whether somebody looks for the stream, and what was last found wrong with it.
    ensuring: bool,
    stream_remark: String,
    drained: DrainWaiters,
}

/// What went out in one attempt, each with the results of its jobs.
type Results = Vec<(PendingPublish, Vec<Result<(), Fault>>)>;

impl Publisher {
    /// A publisher with nothing to do.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            jetstream: None,
            backlog: Backlog::default(),
            attempting: false,
            probing: false,
            timer: false,
            faults: Vec::new(),
            ensuring: false,
            stream_remark: String::new(),
            drained: DrainWaiters::default(),
        }
    }

    /// Starts what there is work and room for.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let most = self.parts.config.max_in_flight;
        if !self.attempting {
            let pending = self.backlog.take(Budget::new(most, BODY_BYTES));
            self.attempting = self.attempt(pending, ctx, |publisher| &mut publisher.attempting);
        }
        if !self.probing {
            let pending = self.backlog.take_probes(Instant::now(), Budget::new(most.div_ceil(10), PROBE_BYTES));
            self.probing = self.attempt(pending, ctx, |publisher| &mut publisher.probing);
        }
        self.arm_timer(ctx);
        let is_idle = self.backlog.len() == 0 && !self.attempting && !self.probing;
        self.parts.spawn.actor_guard.busy(!is_idle);
        self.parts.spawn.metrics.routes.deliveries_waiting.set(self.backlog.len() as i64);
        if is_idle {
            self.drained.notify();
        }
    }

    /// Publishes these jobs; whether there were any. `flag` is taken back when the stream has answered.
    fn attempt(&self, pending: Vec<PendingPublish>, ctx: &mut Context<Self>, flag: fn(&mut Self) -> &mut bool) -> bool {
        let Some(jetstream) = self.jetstream.clone().filter(|_| !pending.is_empty()) else { return false };
        let attempt = async move {
            let publish = |one: &PendingPublish| {
                let (jetstream, subject) = (jetstream.clone(), one.subject.clone());
                join_all(one.encoded_jobs().map(move |job| publish(jetstream.clone(), subject.clone(), job)))
            };
            let results = join_all(pending.iter().map(publish)).await;
            pending.into_iter().zip(results).collect()
        };
        ctx.spawn(attempt.into_actor(self).map(move |results, publisher, ctx| {
            *flag(publisher) = false;
            publisher.attempted(results, ctx);
            publisher.parts.spawn.actor_guard.progress();
            publisher.pump(ctx);
        }));
        true
    }

    fn attempted(&mut self, results: Results, ctx: &mut Context<Self>) {
        // Here a crash meets jobs that the stream has and deliveries that nobody has settled.
        failpoint::pass("publisher");
        let now = Instant::now();
        let mut settlement = Settlement::default();
        let (mut published, mut given_up, mut faults) = (0, Vec::new(), Vec::new());
        let mut tenants: HashMap<Arc<str>, bool> = HashMap::new();
        for (pending, results) in results {
            let (route_message, attempt) = pending.sort(results);
            published += attempt.published;
            given_up.extend(attempt.given_up);
            *tenants.entry(route_message.jobs.tenant_id.clone()).or_default() |= attempt.fault.is_some();
            faults.extend(attempt.fault);
            if route_message.jobs.routes.is_empty() {
                settlement.add(route_message.jobs.guard, Verdict::Done);
            } else {
                self.backlog.put_back(route_message);
            }
        }
        for (tenant_id, is_refused) in &tenants {
            match is_refused {
                true => self.backlog.refused(tenant_id, now),
                false => self.backlog.taken(tenant_id),
            }
        }
        settlement.send();
        self.parts.spawn.metrics.routes.jobs.of(Outcome::Ok).inc_by(published);
        self.report_given_up(&given_up);
        self.report_faults(&faults);
        if faults.iter().any(|fault| matches!(fault, Fault::Fatal(_))) {
            self.ensure_stream(ctx);
        }
        self.nack_overdue(now);
    }

    /// Jobs that the stream can never take are lost, as their rows are not: somebody has to know which.
    fn report_given_up(&self, given_up: &[(String, String)]) {
        let Some((message_id, why)) = given_up.first() else { return };
        self.parts.spawn.metrics.routes.jobs.of(Outcome::Failed).inc_by(given_up.len() as u64);
        self.parts.spawn.metrics.routes.jobs_given_up.inc_by(given_up.len() as u64);
        error!(self.parts.spawn.log, "route jobs given up: the stream can't take them"; "jobs" => given_up.len(),
            "first_message_id" => message_id, "why" => why);
    }

    /// Logs each fault once until everything is taken again, and keeps the remark in `/ready`.
    fn report_faults(&mut self, faults: &[Fault]) {
        let SpawnContext { readiness, log, .. } = &self.parts.spawn;
        for fault in faults {
            let words = fault.to_string();
            if !self.faults.contains(&words) && self.faults.len() < MAX_FAULTS {
                warn!(log, "route jobs are not taken, holding"; "error" => &words);
                readiness.set_message(REMARK, format!("not taken, their deliveries are held: {words}"));
                self.faults.push(words);
            }
        }
        if !self.faults.is_empty() && !self.backlog.is_refused() {
            self.faults.clear();
            info!(log, "route jobs are taken again");
            readiness.clear_message(REMARK);
        }
    }

    /// Hands deliveries back whose jobs have not been taken for too long.
    fn nack_overdue(&mut self, now: Instant) {
        let bound = Duration::from_secs(self.parts.config.retry_secs);
        let overdue = self.backlog.take_overdue(now, bound);
        self.nack(overdue.into_iter().map(|route_message| route_message.jobs));
    }

    fn nack(&self, deliveries: impl Iterator<Item = RouteJobs>) {
        let mut settlement = Settlement::default();
        let mut jobs = 0;
        for delivery in deliveries {
            jobs += delivery.routes.len();
            settlement.add(delivery.guard, Verdict::Retry);
        }
        settlement.send();
        self.parts.spawn.metrics.routes.jobs.of(Outcome::Failed).inc_by(jobs as u64);
    }

    /// Looks after refused tenants: their next probes, and what has waited too long.
    fn arm_timer(&mut self, ctx: &mut Context<Self>) {
        if self.backlog.is_refused() && !std::mem::replace(&mut self.timer, true) {
            ctx.run_later(RETRY_FIRST, |publisher, ctx| {
                publisher.timer = false;
                publisher.nack_overdue(Instant::now());
                publisher.report_faults(&[]);
                publisher.pump(ctx);
            });
        }
    }

    /// Sees to it that there is a stream. Publishing does not wait for it: a stream of another name may take the jobs.
    fn ensure_stream(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.ensuring, true) {
            self.look_for_stream(0, ctx);
        }
    }

    /// Finds or makes the stream; tries again for as long as it takes.
    fn look_for_stream(&mut self, failures: u64, ctx: &mut Context<Self>) {
        let Some(jetstream) = self.jetstream.clone() else { return };
        let config = self.parts.config.clone();
        let streams = self.parts.streams.clone();
        let ensured = async move { stream::ensure(&streams, &jetstream, &config).await };
        ctx.spawn(ensured.into_actor(self).map(move |ensured, publisher, ctx| match ensured {
            Ok(differences) => {
                publisher.ensuring = false;
                publisher.report_stream(differences.join("; "));
            }
            Err(error) => {
                publisher.report_stream(format!("not there: {error}"));
                let delay = delay_for_attempt(failures + 1, RETRY_FIRST, ENSURE_MAX);
                ctx.run_later(delay, move |publisher, ctx| publisher.look_for_stream(failures + 1, ctx));
            }
        }));
    }

    /// Logs what is wrong with the stream where it is new, and keeps the remark in `/ready`.
    fn report_stream(&mut self, remark: String) {
        let SpawnContext { readiness, log, .. } = &self.parts.spawn;
        if remark == self.stream_remark {
            return;
        }
        if remark.is_empty() {
            info!(log, "stream of the route jobs is as it should be");
            readiness.clear_message(stream::STREAM);
        } else {
            warn!(log, "stream of the route jobs is not what is needed"; "differences" => &remark);
            readiness.set_message(stream::STREAM, &*remark);
        }
        self.stream_remark = remark;
    }
}

/// Sends one job and waits for the stream to have it.
async fn publish(jetstream: JetStream, subject: Subject, job: EncodedJob) -> Result<(), Fault> {
    let message = PublishMessage::build().payload(job.body.into()).message_id(job.message_id);
    let published = async { jetstream.send_publish(subject, message).await?.await };
    published.await.map(drop).map_err(|error| classify::fault(&error))
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let config = &self.parts.config;
        let jetstream = ContextBuilder::new()
            .timeout(config.publish_timeout())
            .ack_timeout(config.publish_timeout())
            // One attempt and one of probes at a time.
            .max_ack_inflight(config.max_in_flight.max(1) + config.max_in_flight.div_ceil(10).max(1))
            .backpressure_on_inflight(true)
            .build(self.parts.client.clone());
        self.jetstream = Some(jetstream);
        self.ensure_stream(ctx);
        ctx.run_interval(LOOK_EVERY, |publisher, ctx| publisher.ensure_stream(ctx));
    }
}

impl Handler<Publish> for Publisher {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) {
        let mut held = self.backlog.held();
        let mut turned_away = Vec::new();
        for jobs in publish.deliveries {
            let is_refused = self.backlog.is_holding(&jobs.tenant_id);
            if is_refused && held >= self.parts.config.hold_deliveries {
                turned_away.push(jobs);
            } else {
                held += usize::from(is_refused);
                self.backlog.push(RouteMessage { jobs, since: Instant::now() });
            }
        }
        self.nack(turned_away.into_iter());
        self.pump(ctx);
    }
}

impl Handler<Drain> for Publisher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let drained = self.drained.wait();
        self.pump(ctx);
        Box::pin(drained)
    }
}
