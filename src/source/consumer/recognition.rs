//! Recognition of the consumer: acknowledgements are sent only while the consumer at the broker is known to be the one that
//! the deliveries came from (`ingest_core::flow::identity`, ADR 23). An ack names stream, consumer and sequence only, so one for
//! a deleted stream would settle a message of its successor.

use actix::prelude::*;
use async_nats::jetstream::consumer::Info;
use slog::{debug, warn};
use time::OffsetDateTime;

use super::actor::{Consumer, Stage};
use crate::nats::fitness;
use crate::nats::provision::{self, ApiError, Binding, consumer_config, consumer_info};
use ingest_core::flow::identity::{Question, Seen};
use ingest_core::flow::lane_watch::ConsumerBacklog;
use ingest_core::flow::permission::Operation;

impl Consumer {
    /// Whether deliveries may be settled, and their `ack_wait` extended, now.
    pub(super) fn may_send(&self) -> bool {
        self.identity.is_certain(self.now_ms()) && self.connection.is_current()
    }

    /// Nothing is sent until the consumer has been recognised again.
    pub(super) fn distrust(&mut self) {
        self.identity.doubt();
        if let Some(acks) = &self.acks {
            acks.drop_unsent();
        }
    }

    /// Requests the consumer's state from the broker, one request at a time.
    pub(super) fn read_state(&mut self, ctx: &mut Context<Self>) {
        if self.is_reading_state || self.stage == Stage::Binding || self.binding.is_none() {
            return;
        }
        self.is_reading_state = true;
        self.state_requested_ms = self.now_ms();
        let question = self.identity.question();
        let (context, lane) = (provision::context(&self.parts.client), self.lane);
        let answer = async move { consumer_info(&context, lane).await };
        ctx.spawn(
            answer.into_actor(self).map(move |answer, consumer, ctx| consumer.state_answered(answer, question, ctx)),
        );
    }

    fn state_answered(&mut self, answer: Result<Option<Info>, ApiError>, question: Question, ctx: &mut Context<Self>) {
        self.is_reading_state = false;
        match answer {
            // The attempt to bind reads the state itself.
            _ if self.stage == Stage::Binding => {}
            Ok(Some(info)) => self.apply_state(&info, question, ctx),
            Ok(None) => self.lost("the consumer is gone", ctx),
            // The last state expires by itself.
            Err(why) => debug!(self.parts.spawn.log, "consumer state not read"; "error" => %why),
        }
        self.check_drained();
    }

    fn apply_state(&mut self, info: &Info, question: Question, ctx: &mut Context<Self>) {
        match self.identity.seen(info.created.unix_timestamp_nanos(), question, self.now_ms()) {
            Seen::Outdated => return self.read_state(ctx),
            Seen::Replaced { before } => {
                self.discard_in_flight(before, info.created);
                return self.lost("replaced by another one of the same name", ctx);
            }
            Seen::First | Seen::Same => {}
        }
        if let Some(why) = fitness::unfit(info, self.lane) {
            // Altered meanwhile: binding reports why it is unfit.
            return self.lost(&why, ctx);
        }
        self.report_lag(info, ctx);
        let terms = fitness::terms(info, &consumer_config(self.lane, &self.parts.config), self.lane);
        let created = info.created;
        if let Some(binding) = self.binding.take() {
            let changed = binding.terms.differences != terms.differences;
            self.adopt(Binding { created, terms, ..binding }, changed);
        }
        self.watch_lane(info);
        self.settle_kept_back(ctx);
        if self.inboxes.all_closed() {
            self.nack_arrived_in_drain();
        }
    }

    /// Detects a lane that is bound and makes no progress.
    fn watch_lane(&mut self, info: &Info) {
        let ack_floor = info.ack_floor.stream_sequence;
        if self.condition.is_denied {
            self.parts.permissions.allowed(Operation::Api, self.lane);
            if ack_floor > self.condition.ack_floor || info.num_ack_pending == 0 && !self.in_flight.is_empty() {
                self.parts.permissions.allowed(Operation::Ack, self.lane);
            }
        }
        self.condition.ack_floor = ack_floor;
        let credit = self.in_flight.credit();
        let has_credit = self.stage == Stage::Bound && credit.messages > 0 && credit.bytes > 0;
        let backlog = ConsumerBacklog { pending: info.num_pending, ack_floor };
        let fault = self.watch.check(backlog, has_credit, self.now_ms());
        self.condition.fault = fault.map(|fault| super::lane_condition::describe(fault, info));
    }

    /// Discards what is in flight: it belongs to a consumer that no longer exists, so nothing may be sent for it. What it
    /// was stored as is recognised when the new consumer delivers it.
    pub(super) fn discard_in_flight(&mut self, before: i128, created: OffsetDateTime) {
        let count = self.in_flight.nack_all().len();
        self.arrived_in_drain.clear();
        let unsent = std::mem::take(&mut self.unsent);
        for settled in &unsent {
            // Its slot gives the credit back.
            self.in_flight.settle(settled.slot);
        }
        self.inboxes.invalidate_all();
        self.watch.reset();
        self.forget_lag();
        self.count_nacked(count);
        let old =
            OffsetDateTime::from_unix_timestamp_nanos(before).map_or_else(|_| before.to_string(), |t| t.to_string());
        warn!(self.parts.spawn.log, "the consumer was deleted and made again; nothing is acknowledged for the old one";
            "old_created" => old, "new_created" => created.to_string(), "deliveries_discarded" => count,
            "of_them_done" => unsent.len());
    }
}
