//! A lane's consumer: pulls what its window has room for, hands it to the validators, and settles it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use async_nats::{Client, Message as NatsMessage, StatusCode, Subject};
use slog::{Logger, error, info, warn};

use super::ack::Acks;
use super::connect::{BindError, Binding, bind};
use super::inlet::{Inlet, request_of};
use super::{Config, lag};
use crate::core::ack_subject;
use crate::core::backoff::delay_for_attempt;
use crate::core::disposition::{Disposition, Verdict};
use crate::core::envelope::Envelope;
use crate::core::in_flight::{InFlight, Window};
use crate::core::pull::Pulls;
use crate::core::shard;
use crate::delivery::{Delivery, Desk, Lane, Origin};
use crate::drained::Drained;
use crate::health::{Health, Part};
use crate::lifeline::Lifeline;
use crate::message::{Drain, Release, Settle, Validate};
use crate::metrics::Metrics;

/// The clockwork: in-progress words, deadlines, a reconnected client.
const TICK: Duration = Duration::from_millis(200);
/// A pull request waits so long at the broker for messages.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The broker gives a sign of life so often while a request waits.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a sign for so long the binding is made anew.
const SILENCE: Duration = Duration::from_secs(12);
/// How often the consumer's state is read.
const LAG_EVERY: Duration = Duration::from_secs(2);

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
    Bound(Binding),
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

    /// Finds or makes stream, consumer and inlet; tries again for as long as it takes.
    fn bind(&mut self, ctx: &mut Context<Self>) {
        self.stage = Stage::Binding;
        self.pulls.clear();
        self.connects = self.connects_so_far();
        let (client, config, lane) = (self.parts.client.clone(), self.parts.config.clone(), self.lane);
        let (addr, has_inlet) = (ctx.address(), self.inlet.is_some());
        let attempt = async move {
            let binding = bind(&client, lane, &config).await?;
            let inlet = match has_inlet {
                true => None,
                false => Some(Inlet::open(&client, addr).await.map_err(BindError::Unavailable)?),
            };
            Ok((binding, inlet))
        };
        ctx.spawn(attempt.into_actor(self).map(|outcome, consumer, ctx| consumer.bound(outcome, ctx)));
    }

    fn bound(&mut self, outcome: Result<(Binding, Option<Inlet>), BindError>, ctx: &mut Context<Self>) {
        if matches!(self.stage, Stage::Draining) {
            return;
        }
        match outcome {
            Ok((binding, inlet)) => {
                self.bind_attempt = 0;
                self.inlet = inlet.or(self.inlet.take());
                self.note_differences(&binding);
                self.parts.health.up(Part::Consumer(self.lane));
                info!(self.parts.log, "consumer bound"; "ack_wait_secs" => binding.ack_wait.as_secs());
                self.stage = Stage::Bound(binding);
                self.last_sign_ms = self.now_ms();
                self.pull();
            }
            Err(error) => {
                self.bind_attempt += 1;
                let delay = delay_for_attempt(self.bind_attempt, Duration::from_millis(200), Duration::from_secs(5));
                match &error {
                    BindError::Unfit(why) => error!(self.parts.log, "consumer unfit"; "why" => why),
                    BindError::Unavailable(why) => warn!(self.parts.log, "consumer not bound"; "error" => why),
                }
                self.parts.health.down(Part::Consumer(self.lane), error.to_string());
                ctx.run_later(delay, |consumer, ctx| consumer.rebind(ctx));
            }
        }
    }

    fn rebind(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.stage, Stage::Draining) {
            self.bind(ctx);
        }
    }

    fn note_differences(&self, binding: &Binding) {
        let health = &self.parts.health;
        if binding.differences.is_empty() {
            return health.clear_note(self.lane.consumer());
        }
        let differences = binding.differences.join("; ");
        warn!(self.parts.log, "consumer differs from what is recommended"; "differences" => &differences);
        health.note(self.lane.consumer(), differences);
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

    /// A status word of the broker about a pull request.
    fn status(&mut self, status: StatusCode, message: &NatsMessage, ctx: &mut Context<Self>) {
        if status == StatusCode::IDLE_HEARTBEAT {
            return;
        }
        if let Some(id) = request_of(message) {
            self.pulls.ended(id);
        }
        let words = message.description.as_deref().unwrap_or_default();
        let is_gone = status == StatusCode::NO_RESPONDERS
            || status == StatusCode::REQUEST_TERMINATED && (words.contains("Deleted") || words.contains("Shutdown"));
        // Ordinary ends of a request (timeout, bytes full) need no word.
        if is_gone && matches!(self.stage, Stage::Bound(_)) {
            warn!(self.parts.log, "consumer lost; binding anew"; "status" => status.as_u16(), "words" => words);
            self.parts.health.down(Part::Consumer(self.lane), format!("lost: {words}"));
            self.stage = Stage::Binding;
            self.pulls.clear();
            ctx.run_later(Duration::from_millis(250), |consumer, ctx| consumer.rebind(ctx));
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
            dealt[shard].push((Delivery::new(origin, attempt, message.payload, slot, desk.clone()), envelope));
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

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        if let Stage::Bound(binding) = &self.stage {
            let third = (binding.ack_wait.as_millis() as u64 / 3).max(1);
            let may_hand_back = binding.unlimited_deliveries;
            let due: Vec<Subject> = self.in_flight.touch_due(now_ms, third).map(|entry| entry.reply.clone()).collect();
            if let Some(acks) = &self.acks {
                acks.in_progress(due);
            }
            if may_hand_back {
                self.hand_back_overdue(now_ms);
            }
            self.watch_connection(now_ms, ctx);
        }
        self.pulls.expire(now_ms);
        self.pull();
        self.observe_lag(now_ms, ctx);
    }

    /// A delivery held past the bound goes back, for another replica to try.
    fn hand_back_overdue(&mut self, now_ms: u64) {
        let overdue = self.in_flight.hand_back_overdue(now_ms, self.parts.config.hold_secs * 1_000);
        if overdue.is_empty() {
            return;
        }
        warn!(self.parts.log, "handed back deliveries held past the bound"; "deliveries" => overdue.len());
        {
            let mut ledger = self.parts.metrics.ledgers.lane(self.lane);
            ledger.in_flight -= overdue.len() as u64;
            ledger.nacked += overdue.len() as u64;
        }
        let settled =
            overdue.into_iter().map(|entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)))).collect();
        self.tell(settled);
    }

    /// The broker forgets pull requests with the connection they came on, and says nothing when it goes.
    fn watch_connection(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let silent = self.pulls.is_open() && now_ms.saturating_sub(self.last_sign_ms) > SILENCE.as_millis() as u64;
        if silent || self.connects_so_far() != self.connects {
            let why = if silent { "the broker is silent" } else { "reconnected" };
            info!(self.parts.log, "binding anew"; "why" => why);
            if silent {
                self.parts.health.down(Part::Consumer(self.lane), why);
            }
            self.bind(ctx);
        }
    }

    fn observe_lag(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let Stage::Bound(binding) = &self.stage else { return };
        if now_ms.saturating_sub(self.last_lag_ms) < LAG_EVERY.as_millis() as u64 {
            return;
        }
        self.last_lag_ms = now_ms;
        let (lane, consumer, newest_us) = (self.lane, binding.consumer.clone(), self.newest_us);
        let metrics = self.parts.metrics.clone();
        let observed = async move { lag::observe(lane, consumer, newest_us, now_us(), &metrics).await };
        // A failed reading shows as a stale gauge; the lane's own signs of life decide about its health.
        ctx.spawn(observed.into_actor(self).map(|_, _, _| ()));
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

/// The wall clock, Unix microseconds; for the lag only, never for what is stored.
fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
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
