//! Admission: opens each arriving message, gives it a slot of the window, and forwards it to its validator.

use actix::prelude::*;
use async_nats::{HeaderMap, Message as NatsMessage, Subject};
use slog::error;

use super::actor::{Consumer, Entry, Stage};
use crate::delivery::{Delivery, Opening, Origin, Replay};
use crate::message::Validate;
use crate::runtime::{failpoint, panics};
use crate::source::resend::RetainedMessage;
use ingest_core::flow::{ack_subject, shard};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Rejection;
use ingest_core::reprocess::proof;

type Opened = (Delivery, Result<Envelope, Rejection>);

impl Consumer {
    /// Admits the messages that an inbox brings, and reads status messages about pull requests.
    pub(super) fn admit_all(&mut self, inbox: u64, messages: Vec<NatsMessage>, ctx: &mut Context<Self>) {
        failpoint::pass("source-admit");
        let now_ms = self.now_ms();
        let is_current = self.inboxes.is_current(inbox);
        let mut shards = self.shards(messages.len());
        let arrived_before = self.arrived_in_drain.len();
        let mut admitted = 0;
        for mut message in messages {
            // Publishers may write a status line, too: the broker's own has nothing to acknowledge.
            let Some(reply) = message.reply.take() else {
                if let Some(status) = message.status.filter(|_| is_current) {
                    self.status(status, &message, ctx);
                }
                continue;
            };
            if is_current {
                self.pulls.arrived(message.length);
            }
            admitted += 1;
            if self.stage == Stage::Draining && !self.limit().is_finite() {
                self.arrived_in_drain.push(reply);
                continue;
            }
            match self.admit(message, reply, now_ms) {
                Some(opened) => shards.add(opened),
                None => admitted -= 1,
            }
        }
        if is_current {
            self.answered(admitted > 0);
        }
        {
            let returned = self.arrived_in_drain.len() - arrived_before;
            let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
            ledger.received += admitted as u64;
            ledger.nacked += returned as u64;
            ledger.in_flight += (admitted - returned) as u64;
        }
        self.forward(shards);
        self.parts.spawn.actor_guard.progress();
        if admitted > 0 || self.may_pull_at_once() {
            self.pull();
        }
    }

    /// Gives one message its slot; `None` for a message that JetStream has not sent.
    fn admit(&mut self, message: NatsMessage, reply: Subject, now_ms: u64) -> Option<Opened> {
        let Some(facts) = ack_subject::parse(&reply) else {
            error!(self.parts.spawn.log, "message without JetStream's reply subject ignored");
            return None;
        };
        if *facts.stream != *self.stream {
            self.stream = facts.stream.into();
        }
        self.watch.received(facts.stream_seq);
        let origin =
            Origin { stream: self.stream.clone(), stream_seq: facts.stream_seq, received_us: facts.received_us };
        let attempt = facts.delivered;
        let claim = message.headers.as_ref().and_then(replay_header);
        let retained = self.limit().is_finite().then(|| {
            let (origin, body, subject) = (origin.clone(), message.payload.clone(), message.subject.clone());
            Box::new(RetainedMessage { origin, body, subject, replay: claim.clone() })
        });
        let stream_seq = origin.stream_seq;
        let predates_consumer = self.predates_consumer(origin.received_us);
        let entry = Entry { reply, attempt, retries: 0, stream_seq, retained };
        if self.lane.opening() == Opening::MqttPayload {
            self.parts.spawn.metrics.nats_mqtt.received(message.headers.as_ref().and_then(qos_header));
        }
        // The payload keeps what it has come with in memory: the headers above all.
        let slot = self.in_flight.admit(entry, message.length, now_ms);
        let envelope = panics::open(self.lane.opening(), &message.subject, &message.payload);
        let mut delivery = Delivery::new(origin, attempt, message.payload, slot, self.settle_handle.clone()?);
        delivery.subject = message.subject;
        delivery.predates_consumer = predates_consumer;
        delivery.replay = claim.map(|header| Box::new(Replay::Claimed(header)));
        Some((delivery, envelope))
    }

    fn predates_consumer(&self, received_us: i64) -> bool {
        match &self.binding {
            Some(binding) if self.stage != Stage::Binding => received_us < binding.created_us(),
            // While binding the consumer's age is unknown.
            _ => true,
        }
    }

    /// Forwards again what failed before and is due, where the consumer has a finite `max_deliver`.
    pub(super) fn retry_due(&mut self, now_ms: u64) {
        let Some(settle_handle) = self.settle_handle.clone() else { return };
        let (mut shards, opening) = (self.shards(0), self.lane.opening());
        for (slot, entry) in self.in_flight.take_due(now_ms) {
            let Some(retained) = &entry.retained else { continue };
            entry.retries += 1;
            // Earlier attempts may have had effects, as with any redelivery.
            let attempt = entry.attempt.saturating_add(entry.retries);
            let envelope = panics::open(opening, &retained.subject, &retained.body);
            let mut delivery =
                Delivery::new(retained.origin.clone(), attempt, retained.body.clone(), slot, settle_handle.clone());
            delivery.subject = retained.subject.clone();
            delivery.replay = retained.replay.clone().map(|header| Box::new(Replay::Claimed(header)));
            shards.add((delivery, envelope));
        }
        self.forward(shards);
    }

    fn shards(&self, expected: usize) -> Shards {
        let shards = self.parts.validators.len();
        Shards((0..shards).map(|_| Vec::with_capacity(expected.div_ceil(shards.max(1)))).collect())
    }

    fn forward(&self, Shards(shards): Shards) {
        for (validator, deliveries) in self.parts.validators.iter().zip(shards) {
            if !deliveries.is_empty() {
                validator.do_send(Validate { lane: self.lane, deliveries });
            }
        }
    }
}

/// Deliveries by validator.
struct Shards(Vec<Vec<Opened>>);

impl Shards {
    fn add(&mut self, (delivery, envelope): Opened) {
        let shards = self.0.len();
        let shard = envelope.as_ref().map_or(0, |envelope| shard::of_topic(&envelope.topic, shards));
        if let Some(deliveries) = self.0.get_mut(shard) {
            deliveries.push((delivery, envelope));
        }
    }
}

/// The quality of service of an MQTT client's publish, where the message has the header.
fn qos_header(headers: &HeaderMap) -> Option<u8> {
    headers.get("Nmqtt-Pub")?.as_str().parse().ok()
}

/// The replay header, where the message has one that may be ours.
fn replay_header(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(proof::HEADER)?.as_str();
    (header.len() <= proof::MAX_HEADER).then(|| header.to_owned())
}
