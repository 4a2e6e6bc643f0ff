//! Whether something may be sent for a delivery: only while it is certain that the consumer at the broker is the one that
//! the delivery came from (`core/identity.rs`, ADR 23).

use actix::prelude::*;
use async_nats::jetstream::consumer::Info;
use slog::{debug, warn};
use time::OffsetDateTime;

use super::timers::now_us;
use super::{Consumer, Stage};
use crate::nats::fitness;
use crate::nats::provision::{self, Binding, consumer_config, consumer_info};
use crate::source::lag;
use ingest_core::flow::identity::{Question, Seen};
use ingest_core::flow::lane_watch::ConsumerBacklog;
use ingest_core::flow::permission::Operation;

impl Consumer {
    /// Whether deliveries may be settled and kept alive now.
    pub(super) fn may_send(&self) -> bool {
        self.identity.is_certain(self.now_ms()) && self.is_connected()
    }

    /// Nothing is sent any more before the consumer has been recognised again.
    pub(super) fn doubt(&mut self) {
        self.identity.doubt();
        if let Some(acks) = &self.acks {
            acks.drop_unsent();
        }
    }

    /// Asks the broker for the consumer's state, one question at a time.
    pub(super) fn ask(&mut self, ctx: &mut Context<Self>) {
        if self.asking || self.stage == Stage::Binding || self.binding.is_none() {
            return;
        }
        self.asking = true;
        self.asked_ms = self.now_ms();
        let question = self.identity.question();
        let (context, lane) = (provision::context(&self.parts.client), self.lane);
        let answer = async move { consumer_info(&context, lane).await };
        ctx.spawn(answer.into_actor(self).map(move |answer, consumer, ctx| consumer.answered(answer, question, ctx)));
    }

    fn answered(&mut self, answer: Result<Option<Info>, String>, question: Question, ctx: &mut Context<Self>) {
        self.asking = false;
        match answer {
            // A bind is under way, which asks for itself.
            _ if self.stage == Stage::Binding => {}
            Ok(Some(info)) => self.read(&info, question, ctx),
            Ok(None) => self.lost("the consumer is gone", ctx),
            // What is old is uncertain by itself.
            Err(why) => debug!(self.parts.spawn.log, "consumer state not read"; "error" => why),
        }
        self.check_drained();
    }

    fn read(&mut self, info: &Info, question: Question, ctx: &mut Context<Self>) {
        match self.identity.seen(info.created.unix_timestamp_nanos(), question, self.now_ms()) {
            Seen::Outdated => return self.ask(ctx),
            Seen::Replaced { before } => {
                self.let_go(before, info.created);
                return self.lost("replaced by another one of the same name", ctx);
            }
            Seen::First | Seen::Same => {}
        }
        if let Some(why) = fitness::unfit(info, self.lane) {
            // Altered meanwhile: binding to it says why it does not do.
            return self.lost(&why, ctx);
        }
        lag::show(self.lane, info, self.newest_us, now_us(), &self.parts.spawn.metrics);
        let terms = fitness::terms(info, &consumer_config(self.lane, &self.parts.config), self.lane);
        let created = info.created;
        if let Some(binding) = self.binding.take() {
            let changed = binding.terms.differences != terms.differences;
            self.adopt(Binding { created, terms, ..binding }, changed);
        }
        self.watch_standing(info);
        self.settle_kept_back(ctx);
        if self.inlets.open == 0 {
            self.return_untouched();
        }
    }

    /// Looks for signs that the lane does not work.
    fn watch_standing(&mut self, info: &Info) {
        let ack_floor = info.ack_floor.stream_sequence;
        if self.condition.is_denied {
            self.parts.permissions.works(Operation::Api, self.lane);
            if ack_floor > self.condition.ack_floor || info.num_ack_pending == 0 && !self.in_flight.is_empty() {
                self.parts.permissions.works(Operation::Ack, self.lane);
            }
        }
        self.condition.ack_floor = ack_floor;
        let credit = self.in_flight.credit();
        let has_room = self.stage == Stage::Bound && credit.messages > 0 && credit.bytes > 0;
        let standing = ConsumerBacklog { pending: info.num_pending, ack_floor };
        let ailment = self.watch.check(standing, has_room, self.now_ms());
        self.condition.ailment = ailment.map(|ailment| super::lane_condition::sentence(ailment, info));
    }

    /// Whatever is held belongs to a consumer that exists no more: nothing is sent for it, under no circumstances. What it
    /// was made into is recognised when the new consumer delivers it.
    pub(super) fn let_go(&mut self, before: i128, created: OffsetDateTime) {
        let count = self.in_flight.nack_all().len();
        self.untouched.clear();
        let kept_back = std::mem::take(&mut self.kept_back);
        for settled in &kept_back {
            // Its slot gives the credit back.
            self.in_flight.settle(settled.slot);
        }
        self.inlets.oldest_valid = self.inlets.begun + 1;
        self.watch.reset();
        {
            let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
            ledger.in_flight -= count as u64;
            ledger.nacked += count as u64;
        }
        let old =
            OffsetDateTime::from_unix_timestamp_nanos(before).map_or_else(|_| before.to_string(), |t| t.to_string());
        warn!(self.parts.spawn.log, "the consumer was deleted and made again; nothing is acknowledged for the old one";
            "old_created" => old, "new_created" => created.to_string(), "deliveries_let_go" => count,
            "of_them_done" => kept_back.len());
    }
}
