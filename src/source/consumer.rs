//! A lane's consumer: pulls what its window has room for, hands it to the validators, and settles it.

mod binding;
mod clock;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use async_nats::{Client, HeaderMap, Message as NatsMessage, Subject};
use slog::{Logger, error, warn};

use super::Config;
use super::ack::Acks;
use super::connect::Binding;
use super::inlet::Inlet;
use crate::core::ack_subject;
use crate::core::backoff::delay_for_attempt;
use crate::core::disposition::{Disposition, Verdict};
use crate::core::envelope::Envelope;
use crate::core::in_flight::{InFlight, Window};
use crate::core::pull::Pulls;
use crate::core::{replay, shard};
use crate::delivery::{Delivery, Desk, Lane, Origin, Replay};
use crate::drained::Drained;
use crate::health::Health;
use crate::lifeline::Lifeline;
use crate::message::{Drain, Release, Settle, Validate};
use crate::metrics::Metrics;

/// The clockwork: in-progress words, deadlines, a reconnected client.
const TICK: Duration = Duration::from_millis(200);
/// A pull request waits so long at the broker for messages.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The broker gives a sign of life so often while a request waits.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// What a consumer is made of.
pub struct Parts {
    /// The `[nats]` settings.
    pub config: Config,
    /// The connection; shared by all lanes.
    pub client: Client,
    /// Every validator, in shard order.
    pub validators: Vec<Recipient<Validate>>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The readiness board.
    pub health: Arc<Health>,
    /// Its log.
    pub log: Logger,
    /// Its lifeline.
    pub lifeline: Lifeline,
}

/// One lane's consumer.
pub struct Consumer {
    lane: Lane,
    parts: Parts,
    stage: Stage,
    desk: Option<Arc<Desk>>,
    acks: Option<Acks>,
    inlet: Option<Inlet>,
    in_flight: InFlight<Entry>,
    pulls: Pulls,
    started: Instant,
    last_sign_ms: u64,
    last_lag_ms: u64,
    connects: u64,
    bind_attempt: u64,
    newest_us: i64,
    stream: Arc<str>,
    drained: Drained,
}

/// What the consumer remembers of a delivery.
struct Entry {
    reply: Subject,
    attempt: u32,
}

/// Where the consumer stands.
enum Stage {
    /// Making or finding its stream and consumer.
    Binding,
    /// Pulling.
    Bound(Box<Binding>),
    /// Takes nothing new; what still arrives goes back at once.
    Draining,
}

/// From the inlet: messages and status words, in order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrived {
    pub(super) messages: Vec<NatsMessage>,
}

/// From the inlet: nothing more will arrive.
#[derive(Message)]
#[rtype(result = "()")]
pub struct InletClosed;

/// From the acknowledger: a group has left the house.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AcksSent;

impl Consumer {
    /// A consumer of this lane.
    pub fn new(lane: Lane, parts: Parts) -> Self {
        let window = Window { messages: parts.config.window, bytes: parts.config.window_bytes };
        Self {
            lane,
            stage: Stage::Binding,
            desk: None,
            acks: None,
            inlet: None,
            in_flight: InFlight::new(window),
            // Half a window each: one is being filled while the next waits.
            pulls: Pulls::new(window.messages.div_ceil(2)),
            started: Instant::now(),
            last_sign_ms: 0,
            last_lag_ms: 0,
            connects: 0,
            bind_attempt: 0,
            newest_us: 0,
            stream: lane.stream().into(),
            drained: Drained::default(),
            parts,
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn connects_so_far(&self) -> u64 {
        self.parts.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Sends pull requests for whatever credit is left.
    fn pull(&mut self) {
        let (Stage::Bound(_), Some(inlet)) = (&self.stage, &self.inlet) else { return };
        let credit = self.in_flight.credit();
        if credit.bytes == 0 {
            return;
        }
        let deadline_ms = self.now_ms() + PULL_EXPIRES.as_millis() as u64 + 2_000;
        while let Some(request) = self.pulls.next(credit.messages, deadline_ms) {
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.lane.stream(), self.lane.consumer());
            let body = serde_json::json!({
                "batch": request.messages,
                // Never less than one message may have, or that message would block the lane.
                "max_bytes": credit.bytes.max(self.parts.client.max_payload() + 64 * 1024),
                "expires": PULL_EXPIRES.as_nanos() as u64,
                "idle_heartbeat": PULL_HEARTBEAT.as_nanos() as u64,
            });
            let (client, reply) = (self.parts.client.clone(), inlet.reply(request.id));
            // An error means a closed client; its silence is noticed by the clock.
            actix_rt::spawn(async move { client.publish_with_reply(subject, reply, body.to_string().into()).await });
        }
    }

    /// Opens envelopes and deals them out to the validators.
    fn admit(&mut self, messages: Vec<NatsMessage>, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        self.last_sign_ms = now_ms;
        let draining = matches!(self.stage, Stage::Draining);
        let shards = self.parts.validators.len();
        let mut dealt: Vec<Vec<_>> = (0..shards).map(|_| Vec::with_capacity(messages.len() / shards + 8)).collect();
        let mut returned = Vec::new();
        let mut admitted = 0;
        let Some(desk) = self.desk.clone() else { return };
        let consumer_created_us = match &self.stage {
            Stage::Bound(binding) => binding.created_us,
            // It is about to be looked at again: nothing is known of its age.
            Stage::Binding | Stage::Draining => i64::MAX,
        };
        for message in messages {
            if let Some(status) = message.status {
                self.status(status, &message, ctx);
                continue;
            }
            let Some(reply) = message.reply else { continue };
            let Some(facts) = ack_subject::parse(&reply) else {
                error!(self.parts.log, "message without JetStream's reply subject ignored");
                continue;
            };
            admitted += 1;
            if draining {
                returned.push((reply, Disposition::Nak(Duration::ZERO)));
                continue;
            }
            if *facts.stream != *self.stream {
                self.stream = facts.stream.into();
            }
            self.newest_us = self.newest_us.max(facts.received_us);
            let origin =
                Origin { stream: self.stream.clone(), stream_seq: facts.stream_seq, received_us: facts.received_us };
            let attempt = facts.delivered;
            let envelope = Envelope::open(&message.payload);
            let shard = envelope.as_ref().map_or(0, |envelope| shard::of_topic(&envelope.topic, shards));
            let slot = self.in_flight.admit(Entry { reply, attempt }, message.payload.len(), now_ms);
            let mut delivery = Delivery::new(origin, attempt, message.payload, slot, desk.clone());
            delivery.subject = message.subject;
            delivery.predates_consumer = delivery.origin.received_us < consumer_created_us;
            delivery.replay = message.headers.as_ref().and_then(claimed_replay);
            dealt[shard].push((delivery, envelope));
        }
        self.pulls.arrived(admitted);
        {
            let mut ledger = self.parts.metrics.ledgers.lane(self.lane);
            ledger.received += admitted as u64;
            ledger.nacked += returned.len() as u64;
            ledger.in_flight += (admitted - returned.len()) as u64;
        }
        for (validator, deliveries) in self.parts.validators.iter().zip(dealt) {
            if !deliveries.is_empty() {
                validator.do_send(Validate { lane: self.lane, deliveries });
            }
        }
        self.tell(returned);
        self.parts.lifeline.progress();
        self.pull();
    }

    fn tell(&self, settled: Vec<(Subject, Disposition)>) {
        if let Some(acks) = &self.acks {
            acks.settle(settled);
        }
    }

    fn retry_delay(&self, attempt: u32) -> Duration {
        let first = Duration::from_millis(self.parts.config.nak_delay_ms);
        let longest = Duration::from_millis(self.parts.config.nak_delay_max_ms);
        delay_for_attempt(u64::from(attempt), first, longest)
    }

    /// Answers whoever waits for the lane to be empty.
    fn check_drained(&mut self) {
        let closed = self.inlet.is_none();
        let sent = self.acks.as_ref().is_none_or(Acks::all_sent);
        if matches!(self.stage, Stage::Draining) && closed && sent && self.in_flight.is_empty() {
            self.drained.tell();
        }
    }

    fn begin_drain(&mut self) -> impl Future<Output = ()> + use<> {
        self.stage = Stage::Draining;
        self.pulls.clear();
        if let Some(inlet) = &mut self.inlet {
            inlet.close();
        }
        let drained = self.drained.wait();
        self.check_drained();
        drained
    }
}

/// What a message's headers say about it being a replay.
fn claimed_replay(headers: &HeaderMap) -> Option<Box<Replay>> {
    let header = headers.get(replay::HEADER)?;
    Some(Box::new(Replay::Claimed(header.as_str().to_owned())))
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.desk = Some(Desk::new(self.lane, ctx.address().recipient()));
        let log = self.parts.log.clone();
        self.acks = Some(Acks::start(self.parts.client.clone(), ctx.address().recipient(), log));
        self.bind(ctx);
        ctx.run_interval(TICK, |consumer, ctx| consumer.tick(ctx));
    }
}

impl Handler<Arrived> for Consumer {
    type Result = ();

    fn handle(&mut self, Arrived { messages }: Arrived, ctx: &mut Self::Context) {
        self.admit(messages, ctx);
        self.check_drained();
    }
}

impl Handler<InletClosed> for Consumer {
    type Result = ();

    fn handle(&mut self, _: InletClosed, ctx: &mut Self::Context) {
        self.inlet = None;
        if matches!(self.stage, Stage::Bound(_)) {
            self.bind(ctx);
        }
        self.check_drained();
    }
}

impl Handler<Settle> for Consumer {
    type Result = ();

    fn handle(&mut self, Settle { settled }: Settle, _: &mut Self::Context) {
        let mut told = Vec::with_capacity(settled.len());
        let mut counts: HashMap<Verdict, u64> = HashMap::new();
        for end in settled {
            let Some(entry) = self.in_flight.settle(end.slot) else { continue };
            *counts.entry(end.verdict).or_default() += 1;
            told.push((entry.reply, end.verdict.disposition(|| self.retry_delay(entry.attempt))));
        }
        if let Some(lost) = counts.get(&Verdict::Lost) {
            warn!(self.parts.log, "deliveries lost on the way; they will come again"; "deliveries" => lost);
        }
        {
            let mut ledger = self.parts.metrics.ledgers.lane(self.lane);
            for (_, disposition) in &told {
                match disposition {
                    Disposition::Ack => ledger.acked += 1,
                    Disposition::Nak(_) => ledger.nacked += 1,
                    Disposition::Term => ledger.termed += 1,
                }
            }
            ledger.in_flight -= told.len() as u64;
        }
        self.tell(told);
        self.parts.lifeline.progress();
        self.pull();
    }
}

impl Handler<AcksSent> for Consumer {
    type Result = ();

    fn handle(&mut self, _: AcksSent, _: &mut Self::Context) {
        self.check_drained();
    }
}

impl Handler<Drain> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.begin_drain())
    }
}

impl Handler<Release> for Consumer {
    type Result = ResponseFuture<usize>;

    /// Gives everything back to the broker at once, whoever still holds it.
    fn handle(&mut self, _: Release, _: &mut Self::Context) -> Self::Result {
        let released = self.in_flight.hand_back_overdue(u64::MAX, 0);
        let count = released.len();
        {
            let mut ledger = self.parts.metrics.ledgers.lane(self.lane);
            ledger.in_flight -= count as u64;
            ledger.nacked += count as u64;
        }
        // With the attempts' delay: where the fault is in a message, it must not come back in a tight loop.
        let settled =
            released.into_iter().map(|entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt))));
        self.tell(settled.collect());
        let drained = self.begin_drain();
        Box::pin(async move {
            drained.await;
            count
        })
    }
}
