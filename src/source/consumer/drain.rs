//! Drain: accept nothing new, complete or NAK what is in flight, and notify the waiters when nothing is left.

use std::time::Duration;

use actix::prelude::*;
use async_nats::Subject;
use async_nats::jetstream;
use slog::{error, info};

use super::actor::{Consumer, Entry, Stage};
use crate::message::{Drain, Release};
use crate::source::ack::AckSender;
use crate::source::resend::{RetainedMessage, resend};
use ingest_core::flow::disposition::Disposition;

impl Consumer {
    /// Notifies the drain waiters when nothing is in flight.
    pub(super) fn check_drained(&mut self) {
        let sent = self.acks.as_ref().is_none_or(AckSender::all_sent);
        if self.stage == Stage::Draining && self.inboxes.all_closed() && sent && self.in_flight.is_empty() {
            self.drain_waiters.notify();
        }
    }

    /// NAKs what arrived during the drain. Callers ensure that no open pull request of this node can bring it again.
    pub(super) fn nack_arrived_in_drain(&mut self) {
        // Otherwise the broker redelivers them after ack_wait.
        if self.may_send() {
            let replies = std::mem::take(&mut self.arrived_in_drain);
            self.send(replies.into_iter().map(|reply| (reply, Disposition::Nak(Duration::ZERO))).collect());
        }
    }

    fn begin_drain(&mut self) -> impl Future<Output = ()> + use<> {
        self.stage = Stage::Draining;
        self.pulls.clear();
        self.inboxes.close();
        // Due now instead of after their delay, which may outlast the drain.
        self.retry_due(u64::MAX);
        let drained = self.drain_waiters.wait();
        self.check_drained();
        drained
    }

    /// NAKs everything in flight at once, whichever actor still works on it. What the broker would not deliver again is
    /// resent to its stream instead.
    fn release(&mut self, ctx: &mut Context<Self>) -> ResponseActFuture<Self, usize> {
        self.settle_kept_back(ctx);
        self.unsent.clear();
        self.nack_arrived_in_drain();
        let released = self.in_flight.nack_all();
        let count = released.len();
        self.count_nacked(count);
        let limit = self.limit();
        let (last_attempts, others): (Vec<_>, Vec<_>) =
            released.into_iter().partition(|entry| limit.is_last(entry.attempt));
        if self.may_send() {
            // With the attempts' delay: a message that causes the fault must not come back in a tight loop.
            let delayed = |entry: Entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)));
            self.send(others.into_iter().map(delayed).collect());
        }
        let resent = self.resend(last_attempts);
        let drained = self.begin_drain();
        Box::pin(resent.then(move |(), consumer, _| {
            consumer.check_drained();
            drained.into_actor(consumer).map(move |(), _, _| count)
        }))
    }

    /// Resends deliveries whose last attempt is over, and terminates those whose copy the stream has acknowledged.
    fn resend(&mut self, deliveries: Vec<Entry>) -> impl ActorFuture<Self, Output = ()> + 'static + use<> {
        let context = jetstream::new(self.parts.client.clone());
        let key = self.replay_key.clone().filter(|_| self.connection.is_current());
        let (replies, retained): (Vec<Subject>, Vec<RetainedMessage>) =
            deliveries.into_iter().filter_map(|entry| Some((entry.reply, *entry.retained?))).unzip();
        let sent = async move {
            match key {
                Some(key) => resend(&context, &key, &retained).await,
                None => vec![false; retained.len()],
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
            self.send(sent.into_iter().map(|(reply, _)| (reply, Disposition::Term)).collect());
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
