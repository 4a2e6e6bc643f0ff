//! An actor's queue and its time, as the metrics count them.
//!
//! actix does not tell how many messages wait in a mailbox. So an actor's address leads to a channel of its own, and a part
//! of the actor takes the messages from there into a queue that is counted, and handles them one by one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use actix::dev::channel::AddressReceiver;
use actix::dev::{Envelope, EnvelopeProxy};
use actix::{Actor, ActorFuture, AsyncContext, Context};
use futures_util::Stream;

use crate::metrics::Traffic;

/// Most messages in a row: then timers and futures of the actor have their turn.
const MOST_AT_ONCE: usize = 32;

/// Since when an actor works; what it worked before that is counted.
#[derive(Clone)]
pub(super) struct WorkClock {
    traffic: Arc<Traffic>,
    since: Rc<Cell<Instant>>,
}

impl WorkClock {
    /// Of an actor that begins.
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, since: Rc::new(Cell::new(Instant::now())) }
    }

    fn begin(&self) {
        self.since.set(Instant::now());
    }

    fn count(&self) {
        let now = Instant::now();
        self.traffic.worked(now - self.since.replace(now));
    }
}

/// Counts the time of an actor: of its messages, timers and futures.
pub(super) struct Timed<F> {
    /// The actor.
    pub actor: F,
    /// What counts.
    pub clock: WorkClock,
}

impl<F: Future<Output = ()> + Unpin> Future for Timed<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        self.clock.begin();
        let polled = Pin::new(&mut self.actor).poll(task);
        self.clock.count();
        polled
    }
}

/// The queue: runs within its actor, as long as somebody has the actor's address.
pub(super) struct Queue<A: Actor> {
    receiver: AddressReceiver<A>,
    waiting: VecDeque<Envelope<A>>,
    clock: WorkClock,
}

impl<A: Actor> Queue<A> {
    /// Of an actor that begins.
    pub(super) fn new(receiver: AddressReceiver<A>, clock: WorkClock) -> Self {
        clock.traffic.started();
        Self { receiver, waiting: VecDeque::new(), clock }
    }

    /// Takes what has come; whether more may come.
    fn take_all(&mut self, task: &mut Task<'_>) -> bool {
        let before = self.waiting.len();
        while let Poll::Ready(Some(message)) = Pin::new(&mut self.receiver).poll_next(task) {
            self.waiting.push_back(message);
        }
        self.clock.traffic.received(self.waiting.len() - before);
        // Whoever lets go of the last address wakes this up.
        self.receiver.connected()
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Queue<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, actor: &mut A, ctx: &mut Context<A>, task: &mut Task<'_>) -> Poll<()> {
        for _ in 0..MOST_AT_ONCE {
            let is_open = self.take_all(task);
            if ctx.waiting() {
                return Poll::Pending;
            }
            let Some(mut message) = self.waiting.pop_front() else {
                return if is_open { Poll::Pending } else { Poll::Ready(()) };
            };
            message.handle(actor, ctx);
            self.clock.traffic.handled();
            self.clock.count();
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Actor> Drop for Queue<A> {
    fn drop(&mut self) {
        self.clock.traffic.ended(self.waiting.len());
    }
}
