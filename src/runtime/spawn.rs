//! Spawn context: what every actor of the tree is started with.

use std::sync::Arc;

use actix::{Actor, Addr, Context};
use actix_rt::{Arbiter, ArbiterHandle};
use slog::{Discard, Logger, o};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::actor_guard::{ActorExit, ActorGuard, Heartbeat};
use super::readiness::Readiness;
use crate::metrics::Metrics;

/// An actor's thread, its guard, and its logger, metrics and readiness.
#[derive(Debug)]
pub struct SpawnContext {
    /// The thread that it runs on.
    pub thread: ArbiterHandle,
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
        let context = Self {
            thread: Arbiter::current(),
            actor_guard: ActorGuard::new(name, 1, exits, heartbeat),
            log: Logger::root(Discard, o!()),
            metrics: Metrics::new(),
            readiness: Readiness::new(),
        };
        (context, exited)
    }
}

/// Starts an actor on a thread.
pub(crate) fn start<A>(thread: &ArbiterHandle, actor: A) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Send,
{
    A::start_in_arbiter(thread, |_| actor)
}
