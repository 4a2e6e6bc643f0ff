//! The Publisher: sends the jobs of committed rows to the stream and settles their deliveries when it has them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use async_nats::Client;
use async_nats::jetstream::Context as JetStream;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use futures_util::future::join_all;
use slog::{Logger, error, warn};

use super::parcel::{Letter, Parcel};
use super::{Config, classify, stream};
use crate::core::backoff::delay_for_attempt;
use crate::core::disposition::Verdict;
use crate::delivery::Settlement;
use crate::drained::Drained;
use crate::failpoint;
use crate::health::Health;
use crate::lifeline::Lifeline;
use crate::message::{Drain, Publish};
use crate::metrics::{Metrics, Outcome};
use crate::sink::Fault;

/// Pauses between the attempts of one parcel: short against `retry_secs`, so that a stream that is back gets its jobs
/// at once.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Longest pause between two looks for the stream.
const ENSURE_MAX: Duration = Duration::from_secs(10);

/// What the publisher is made of.
pub struct Parts {
    /// The `[routes]` settings.
    pub config: Config,
    /// A connection of its own: what fans out must not stand before the acknowledgements of what comes in.
    pub client: Client,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The readiness board, for remarks on the stream. It is no part of readiness: who has no routes needs none.
    pub health: Arc<Health>,
    /// Its log.
    pub log: Logger,
    /// Its lifeline.
    pub lifeline: Lifeline,
}

/// Publishes jobs, all that have come meanwhile in one attempt. What fails is tried again by itself and does not hold up
/// what comes after it, until it is handed back with its delivery.
pub struct Publisher {
    parts: Parts,
    jetstream: Option<JetStream>,
    queue: VecDeque<Parcel>,
    /// Whether an attempt is under way.
    attempting: bool,
    /// Parcels that wait for their next attempt.
    resting: usize,
    /// Whether somebody looks for the stream.
    ensuring: bool,
    drained: Drained,
}

impl Publisher {
    /// A publisher with nothing to do.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            jetstream: None,
            queue: VecDeque::new(),
            attempting: false,
            resting: 0,
            ensuring: false,
            drained: Drained::default(),
        }
    }

    /// Starts an attempt where there is work and none is under way.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let is_idle = self.queue.is_empty() && !self.attempting && self.resting == 0;
        self.parts.lifeline.busy(!is_idle);
        if is_idle {
            self.drained.tell();
        }
        if self.attempting || self.queue.is_empty() {
            return;
        }
        let Some(jetstream) = self.jetstream.clone() else { return };
        let parcels = self.next_parcels();
        self.attempting = true;
        let attempt = async move {
            let results = join_all(
                parcels.iter().map(|parcel| join_all(parcel.jobs.iter().map(|job| publish(&jetstream, parcel, job)))),
            );
            let results = results.await;
            (parcels, results)
        };
        ctx.spawn(attempt.into_actor(self).map(|(parcels, results), publisher, ctx| {
            publisher.attempting = false;
            publisher.attempted(parcels.into_iter().zip(results), ctx);
            publisher.parts.lifeline.progress();
            publisher.pump(ctx);
        }));
    }

    /// As many as may be under way at once; one at least.
    fn next_parcels(&mut self) -> Vec<Parcel> {
        let mut jobs = 0;
        let fits = |parcel: &&Parcel| {
            let is_first = jobs == 0;
            jobs += parcel.jobs.len();
            is_first || jobs <= self.parts.config.max_in_flight
        };
        let count = self.queue.iter().take_while(fits).count();
        self.queue.drain(..count).collect()
    }

    fn attempted(&mut self, results: impl Iterator<Item = (Parcel, Vec<Result<(), Fault>>)>, ctx: &mut Context<Self>) {
        // Here a crash meets jobs that the stream has and deliveries that nobody has settled.
        failpoint::pass("publisher");
        let bound = Duration::from_secs(self.parts.config.retry_secs);
        let mut settlement = Settlement::default();
        let (mut published, mut failed, mut again, mut faults) = (0, 0, Vec::new(), Vec::new());
        for (mut parcel, results) in results {
            let attempt = parcel.sort(results);
            published += attempt.published;
            failed += attempt.given_up.len();
            self.report_given_up(&parcel, &attempt.given_up);
            match attempt.fault {
                None => settlement.add(parcel.ticket, Verdict::Done),
                Some(fault) => {
                    faults.push(fault);
                    if parcel.since.elapsed() < bound {
                        again.push(parcel);
                    } else {
                        failed += parcel.jobs.len();
                        settlement.add(parcel.ticket, Verdict::Retry);
                    }
                }
            }
        }
        settlement.send();
        self.parts.metrics.route_jobs.of(Outcome::Ok).inc_by(published);
        self.parts.metrics.route_jobs.of(Outcome::Failed).inc_by(failed as u64);
        if let Some(first) = faults.first() {
            warn!(self.parts.log, "route jobs not published"; "deliveries" => faults.len(),
                "handed_back" => faults.len() - again.len(), "error" => %first);
        }
        if faults.iter().any(|fault| matches!(fault, Fault::Fatal(_))) {
            self.ensure_stream(ctx);
        }
        self.rest(again, ctx);
    }

    /// Jobs that the stream can never take are lost, as their rows are not: somebody has to know which.
    fn report_given_up(&self, parcel: &Parcel, given_up: &[(Letter, String)]) {
        let Some((first, why)) = given_up.first() else { return };
        error!(self.parts.log, "route jobs given up: the stream can't take them"; "jobs" => given_up.len(),
            "stream_seq" => parcel.origin.stream_seq, "message_id" => &first.message_id, "why" => why);
    }

    /// Puts parcels aside until their next attempt.
    fn rest(&mut self, parcels: Vec<Parcel>, ctx: &mut Context<Self>) {
        let Some(failures) = parcels.iter().map(|parcel| parcel.failures).max() else { return };
        self.resting += parcels.len();
        let delay = delay_for_attempt(failures, RETRY_FIRST, RETRY_MAX);
        ctx.run_later(delay, move |publisher, ctx| {
            publisher.resting -= parcels.len();
            // They came before whatever waits now.
            parcels.into_iter().rev().for_each(|parcel| publisher.queue.push_front(parcel));
            publisher.pump(ctx);
        });
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
        let window = self.parts.config.duplicate_window();
        let ensured = async move { stream::ensure(&jetstream, window).await };
        ctx.spawn(ensured.into_actor(self).map(move |ensured, publisher, ctx| {
            let Parts { health, log, .. } = &publisher.parts;
            match ensured {
                Ok(differences) => {
                    publisher.ensuring = false;
                    if differences.is_empty() {
                        return health.clear_note(stream::STREAM);
                    }
                    let differences = differences.join("; ");
                    warn!(log, "stream of the route jobs differs from what is needed"; "differences" => &differences);
                    health.note(stream::STREAM, differences);
                }
                Err(error) => {
                    warn!(log, "no stream for the route jobs"; "error" => &error);
                    health.note(stream::STREAM, format!("not there: {error}"));
                    let delay = delay_for_attempt(failures + 1, RETRY_FIRST, ENSURE_MAX);
                    ctx.run_later(delay, move |publisher, ctx| publisher.look_for_stream(failures + 1, ctx));
                }
            }
        }));
    }
}

/// Sends one job and waits for the stream to have it.
async fn publish(jetstream: &JetStream, parcel: &Parcel, job: &Letter) -> Result<(), Fault> {
    let message = PublishMessage::build().payload(job.body.clone()).message_id(&job.message_id);
    let published = async { jetstream.send_publish(parcel.subject.clone(), message).await?.await };
    published.await.map(drop).map_err(|error| classify::fault(&error))
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let config = &self.parts.config;
        let jetstream = ContextBuilder::new()
            .timeout(config.publish_timeout())
            .ack_timeout(config.publish_timeout())
            // A parcel of more jobs than may be under way is sent piece by piece.
            .max_ack_inflight(config.max_in_flight.max(1))
            .backpressure_on_inflight(true)
            .build(self.parts.client.clone());
        self.jetstream = Some(jetstream);
        self.ensure_stream(ctx);
    }
}

impl Handler<Publish> for Publisher {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) {
        self.queue.extend(publish.deliveries.into_iter().map(Parcel::new));
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
