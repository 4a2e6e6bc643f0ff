//! Spawn context: what every actor of the tree is started with.

use std::sync::Arc;

use actix::dev::channel::channel;
use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use slog::{Discard, Logger, o};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::actor_guard::{ActorExit, ActorGuard, Heartbeat};
use super::queue::{Queue, Timed, WorkClock};
use super::readiness::Readiness;
use crate::metrics::{Metrics, Traffic};

/// An actor's thread, its guard, and its logger, metrics and readiness.
#[derive(Debug)]
pub struct SpawnContext {
    /// The thread that it runs on.
    pub thread: ArbiterHandle,
    /// Counts its messages and its time.
    pub traffic: Arc<Traffic>,
    /// Reports its exit and its progress to the supervisor; the actor owns it.
    pub actor_guard: ActorGuard,
    /// A logger with the key `component`.
    pub log: Logger,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The node's readiness.
    pub readiness: Arc<Readiness>,
}

impl SpawnContext {
    /// For an actor outside of the tree: it runs on the current thread and logs nothing; its exit arrives on the channel.
    pub fn detached(name: &'static str, heartbeat: Arc<Heartbeat>) -> (Self, UnboundedReceiver<ActorExit>) {
        let (exits, exited) = unbounded_channel();
        let metrics = Metrics::new();
        let context = Self {
            thread: Arbiter::current(),
            traffic: metrics.actors.traffic(name),
            actor_guard: ActorGuard::new(name, name.into(), 1, exits, heartbeat),
            log: Logger::root(Discard, o!()),
            metrics,
            readiness: Readiness::new(),
        };
        (context, exited)
    }

    /// Where the actor is started.
    pub(crate) fn place(&self) -> Place {
        Place { thread: self.thread.clone(), traffic: self.traffic.clone() }
    }
}

/// Where an actor is started: its thread, and what counts its messages and its time.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The thread.
    pub thread: ArbiterHandle,
    /// Its traffic.
    pub traffic: Arc<Traffic>,
}

/// Messages that may wait before who waits for an answer has to wait with sending, as actix has it.
const CAPACITY: usize = 16;

/// Starts an actor at its place.
pub(crate) fn start<A>(place: &Place, actor: A) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Send,
{
    start_with(place, |_| actor)
}

/// As [`start`], an actor that gives its own address to others: what is sent there is counted, and what is sent to the
/// address of its context is not.
pub(crate) fn start_with<A>(place: &Place, build: impl FnOnce(Addr<A>) -> A + Send + 'static) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel(CAPACITY);
    let (address, traffic) = (Addr::new(sender), place.traffic.clone());
    let own = address.clone();
    place.thread.spawn_fn(move || {
        let clock = WorkClock::new(traffic);
        let mut context = Context::new();
        context.spawn(Queue::new(receiver, clock.clone()));
        let actor = context.into_future(build(own));
        actix_rt::spawn(Timed { actor, clock });
    });
    address
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::{Handler, Message};
    use ingest_kit::wait_for;

    use super::*;

    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

    /// An actor that takes until it is told.
    struct Slow(mpsc::Receiver<()>);

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Work;

    impl Actor for Slow {
        type Context = Context<Self>;
    }

    impl Handler<Work> for Slow {
        type Result = ();

        fn handle(&mut self, _: Work, _: &mut Context<Self>) {
            // An end of the test ends it, too.
            let _ = self.0.recv();
        }
    }

    #[actix_rt::test]
    async fn what_an_actor_has_not_handled_is_its_queue_and_it_ends_with_its_last_address() {
        let (metrics, thread) = (Metrics::new(), Arbiter::new());
        let place = Place { thread: thread.handle(), traffic: metrics.actors.traffic("slow") };
        let figures = || metrics.actors.figures()["slow"].clone();
        // Both are there before the actor begins.
        let (begin, begun) = mpsc::channel::<()>();
        thread.spawn_fn(move || {
            let _ = begun.recv();
        });
        let (done, work) = mpsc::channel();
        let address = start(&place, Slow(work));
        address.do_send(Work);
        address.do_send(Work);
        drop(begin);
        wait_for("both to have come", DEADLINE, async || figures().queue == 2).await;
        assert_eq!((figures().state, figures().handled), ("running", 0));
        done.send(()).unwrap();
        wait_for("one to be handled", DEADLINE, async || figures().handled == 1).await;
        assert_eq!(figures().queue, 1);
        done.send(()).unwrap();
        drop(address);
        wait_for("its end", DEADLINE, async || figures().state == "stopped").await;
        assert_eq!((figures().queue, figures().received, figures().handled), (0, 2, 2));
        assert!(figures().busy_seconds > 0.0);
        thread.stop();
    }
}
