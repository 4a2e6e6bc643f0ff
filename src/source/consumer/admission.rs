//! What arrives: opened, given a slot of the window, and dealt out to the validators.

use actix::prelude::*;
use async_nats::{HeaderMap, Message as NatsMessage, Subject};
use slog::error;

use super::{Consumer, Entry, Stage};
use crate::delivery::{Delivery, Origin, Replay};
use crate::message::Validate;
use crate::runtime::{failpoint, panics};
use crate::source::resend::Kept;
use ingest_core::flow::{ack_subject, shard};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Rejection;
use ingest_core::reprocess::proof;

type Opened = (Delivery, Result<Envelope, Rejection>);

impl Consumer {
    /// Takes in what an inlet brings: messages, and status messages about pull requests.
    pub(super) fn take_in(&mut self, inlet: u64, messages: Vec<NatsMessage>, ctx: &mut Context<Self>) {
        failpoint::pass("source-admit");
        let now_ms = self.now_ms();
        let is_current = self.inlet.as_ref().is_some_and(|current| current.number == inlet);
        let mut dealt = self.deal(messages.len());
        let untouched_before = self.untouched.len();
        let mut admitted = 0;
        for mut message in messages {
            if let Some(status) = message.status {
                if is_current {
                    self.status(status, &message, ctx);
                }
                continue;
            }
            let Some(reply) = message.reply.take() else { continue };
            if is_current {
                self.pulls.arrived(size(&message, &reply));
            }
            admitted += 1;
            if self.stage == Stage::Draining && !self.limit().is_finite() {
                self.untouched.push(reply);
                continue;
            }
            match self.admit(message, reply, now_ms) {
                Some(opened) => dealt.add(opened),
                None => admitted -= 1,
            }
        }
        if is_current {
            self.heard(admitted > 0);
        }
        {
            let returned = self.untouched.len() - untouched_before;
            let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
            ledger.received += admitted as u64;
            ledger.nacked += returned as u64;
            ledger.in_flight += (admitted - returned) as u64;
        }
        self.hand_on(dealt);
        self.parts.spawn.actor_guard.progress();
        if admitted > 0 || self.may_pull_at_once() {
            self.pull();
        }
    }

    /// Gives one message its slot.
    fn admit(&mut self, message: NatsMessage, reply: Subject, now_ms: u64) -> Option<Opened> {
        let Some(facts) = ack_subject::parse(&reply) else {
            error!(self.parts.spawn.log, "message without JetStream's reply subject ignored");
            return None;
        };
        if *facts.stream != *self.stream {
            self.stream = facts.stream.into();
        }
        self.newest_us = self.newest_us.max(facts.received_us);
        self.watch.received(facts.stream_seq);
        let origin =
            Origin { stream: self.stream.clone(), stream_seq: facts.stream_seq, received_us: facts.received_us };
        let attempt = facts.delivered;
        let claim = message.headers.as_ref().and_then(replay_header);
        let kept = self.limit().is_finite().then(|| {
            let (origin, body, subject) = (origin.clone(), message.payload.clone(), message.subject.clone());
            Box::new(Kept { origin, body, subject, replay: claim.clone() })
        });
        let stream_seq = origin.stream_seq;
        let predates_consumer = self.predates_consumer(origin.received_us);
        let entry = Entry { reply, attempt, retries: 0, stream_seq, kept };
        let slot = self.in_flight.admit(entry, message.payload.len(), now_ms);
        let envelope = panics::open(&message.payload);
        let mut delivery = Delivery::new(origin, attempt, message.payload, slot, self.settle_handle.clone()?);
        delivery.subject = message.subject;
        delivery.predates_consumer = predates_consumer;
        delivery.replay = claim.map(|header| Box::new(Replay::Claimed(header)));
        Some((delivery, envelope))
    }

    fn predates_consumer(&self, received_us: i64) -> bool {
        match &self.binding {
            Some(binding) if self.stage != Stage::Binding => received_us < binding.created_us(),
            // It is about to be looked at again: nothing is known of its age.
            _ => true,
        }
    }

    /// Deals out again what failed before and is due, where the broker delivers only so often.
    pub(super) fn retry_due(&mut self, now_ms: u64) {
        let Some(settle_handle) = self.settle_handle.clone() else { return };
        let mut dealt = self.deal(0);
        for (slot, entry) in self.in_flight.take_due(now_ms) {
            let Some(kept) = &entry.kept else { continue };
            entry.retries += 1;
            // Its earlier attempts may have had effects: a redelivery as any other.
            let attempt = entry.attempt.saturating_add(entry.retries);
            let envelope = panics::open(&kept.body);
            let mut delivery =
                Delivery::new(kept.origin.clone(), attempt, kept.body.clone(), slot, settle_handle.clone());
            delivery.subject = kept.subject.clone();
            delivery.replay = kept.replay.clone().map(|header| Box::new(Replay::Claimed(header)));
            dealt.add((delivery, envelope));
        }
        self.hand_on(dealt);
    }

    fn deal(&self, expected: usize) -> Dealt {
        let shards = self.parts.validators.len();
        Dealt((0..shards).map(|_| Vec::with_capacity(expected.div_ceil(shards.max(1)))).collect())
    }

    fn hand_on(&self, Dealt(dealt): Dealt) {
        for (validator, deliveries) in self.parts.validators.iter().zip(dealt) {
            if !deliveries.is_empty() {
                validator.do_send(Validate { lane: self.lane, deliveries });
            }
        }
    }
}

/// Deliveries by the validator that gets them.
struct Dealt(Vec<Vec<Opened>>);

impl Dealt {
    fn add(&mut self, (delivery, envelope): Opened) {
        let shards = self.0.len();
        let shard = envelope.as_ref().map_or(0, |envelope| shard::of_topic(&envelope.topic, shards));
        if let Some(share) = self.0.get_mut(shard) {
            share.push((delivery, envelope));
        }
    }
}

/// As the broker counts it against a request's bytes, but for the headers.
fn size(message: &NatsMessage, reply: &Subject) -> usize {
    message.payload.len() + message.subject.len() + reply.len()
}

/// What a message's headers say about it being a replay.
fn replay_header(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(proof::HEADER)?.as_str().to_owned())
}
