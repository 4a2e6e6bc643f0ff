//! The orderly end: take nothing new, finish or give back what is held, and say when that is done.

use std::time::Duration;

use actix::prelude::*;
use async_nats::Subject;
use async_nats::jetstream;
use slog::{error, info};

use super::{Consumer, Entry, Stage};
use crate::message::{Drain, Release};
use crate::source::ack::Acks;
use crate::source::resend::{Kept, resend};
use ingest_core::flow::disposition::Disposition;

impl Consumer {
    /// Answers whoever waits for the lane to be empty.
    pub(super) fn check_drained(&mut self) {
        let sent = self.acks.as_ref().is_none_or(Acks::all_sent);
        if self.stage == Stage::Draining && self.inlets.open == 0 && sent && self.in_flight.is_empty() {
            self.drained.notify();
        }
    }

    /// Returns what came during the drain. Callers see to it that no open pull request of this node can bring it again.
    pub(super) fn return_untouched(&mut self) {
        // While it is not certain whose they are they come again after ack_wait.
        if self.may_send() {
            let untouched = std::mem::take(&mut self.untouched);
            self.tell(untouched.into_iter().map(|reply| (reply, Disposition::Nak(Duration::ZERO))).collect());
        }
    }

    fn begin_drain(&mut self) -> impl Future<Output = ()> + use<> {
        self.stage = Stage::Draining;
        self.pulls.clear();
        self.inlet = None;
        // What waits for its next attempt gets it now: later there is no time.
        self.retry_due(u64::MAX);
        let drained = self.drained.wait();
        self.check_drained();
        drained
    }

    /// Gives everything back to the broker at once, whoever still holds it. What the broker would not deliver again is
    /// sent to its stream again instead.
    fn release(&mut self, ctx: &mut Context<Self>) -> ResponseActFuture<Self, usize> {
        self.settle_kept_back(ctx);
        self.kept_back.clear();
        self.return_untouched();
        let released = self.in_flight.nack_all();
        let count = released.len();
        {
            let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
            ledger.in_flight -= count as u64;
            ledger.nacked += count as u64;
        }
        let limit = self.limit();
        let (last, others): (Vec<_>, Vec<_>) = released.into_iter().partition(|entry| limit.is_last(entry.attempt));
        if self.may_send() {
            // With the attempts' delay: where the fault is in a message, it must not come back in a tight loop.
            let delayed = |entry: Entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)));
            self.tell(others.into_iter().map(delayed).collect());
        }
        let resent = self.send_again(last);
        let drained = self.begin_drain();
        Box::pin(resent.then(move |(), consumer, _| {
            consumer.check_drained();
            drained.into_actor(consumer).map(move |(), _, _| count)
        }))
    }

    /// Sends deliveries whose last attempt is over to their stream again, and terminates those that it has.
    fn send_again(&mut self, last: Vec<Entry>) -> impl ActorFuture<Self, Output = ()> + 'static + use<> {
        let context = jetstream::new(self.parts.client.clone());
        let key = self.replay_key.clone().filter(|_| self.is_connected());
        let (replies, kept): (Vec<Subject>, Vec<Kept>) =
            last.into_iter().filter_map(|entry| Some((entry.reply, *entry.kept?))).unzip();
        let sent = async move {
            match key {
                Some(key) => resend(&context, &key, &kept).await,
                None => vec![false; kept.len()],
            }
        };
        sent.into_actor(self).map(move |sent, consumer, _| consumer.terminate(replies, &sent))
    }

    fn terminate(&mut self, replies: Vec<Subject>, sent: &[bool]) {
        let (sent, lost): (Vec<_>, Vec<_>) = replies.into_iter().zip(sent).partition(|(_, sent)| **sent);
        if !sent.is_empty() {
            info!(self.parts.spawn.log, "sent deliveries to their stream again, as this was their last attempt";
                "deliveries" => sent.len());
        }
        if !lost.is_empty() {
            error!(self.parts.spawn.log, "deliveries at their last attempt could not be sent to their stream again; \
                they may be lost"; "deliveries" => lost.len());
        }
        if self.may_send() {
            self.tell(sent.into_iter().map(|(reply, _)| (reply, Disposition::Term)).collect());
        }
    }
}

impl Handler<Drain> for Consumer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.begin_drain())
    }
}

impl Handler<Release> for Consumer {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) -> Self::Result {
        self.release(ctx)
    }
}
