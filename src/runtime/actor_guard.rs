//! How a child's death and its progress become known: the supervisor's end of every actor.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_rt::ArbiterHandle;
use tokio::sync::mpsc::UnboundedSender;

/// How often a thread that turns says so.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Held by an actor as long as it lives. Dropping it, for whatever reason (stop, error, panic), reports the death:
/// a silent one is impossible.
#[derive(Debug)]
pub struct ActorGuard {
    name: &'static str,
    generation: u64,
    exits: UnboundedSender<ActorExit>,
    heartbeat: Arc<Heartbeat>,
}

/// A child's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorExit {
    /// The role that died.
    pub name: &'static str,
    /// Which generation it belonged to.
    pub generation: u64,
    /// `panicked` or `stopped`.
    pub cause: &'static str,
}

/// A child's signs of life, as the supervisor reads them.
#[derive(Debug, Default)]
pub struct Heartbeat {
    progress: AtomicU64,
    busy: AtomicBool,
    /// Threads that the child has beside the one it lives on.
    threads: Mutex<Vec<Arc<Heartbeat>>>,
}

impl Heartbeat {
    /// A thread's heartbeat: always busy, and getting on as long as the thread turns.
    pub fn of_thread(thread: &ArbiterHandle) -> Arc<Self> {
        let heartbeat = Arc::new(Self { busy: AtomicBool::new(true), ..Self::default() });
        let beating = heartbeat.clone();
        // A thread that is gone does not beat.
        thread.spawn(async move {
            loop {
                beating.progress.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        heartbeat
    }

    /// A number that changes whenever the child gets on, and whether it has work at all.
    pub fn read(&self) -> (u64, bool) {
        (self.progress.load(Ordering::Relaxed), self.busy.load(Ordering::Relaxed))
    }

    /// The heartbeats of the child's own threads.
    pub fn threads(&self) -> Vec<Arc<Heartbeat>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ActorGuard {
    /// A actor guard of a child of this generation.
    pub fn new(
        name: &'static str,
        generation: u64,
        exits: UnboundedSender<ActorExit>,
        heartbeat: Arc<Heartbeat>,
    ) -> Self {
        Self { name, generation, exits, heartbeat }
    }

    /// The child got on: a chunk done, an attempt ended, a retry begun.
    pub fn progress(&self) {
        self.heartbeat.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the child has work: only then is standing still a sign of death.
    pub fn busy(&self, busy: bool) {
        self.heartbeat.busy.store(busy, Ordering::Relaxed);
    }

    /// Has a thread of the child's own watched: when it stands still, the child does.
    pub fn watch_thread(&self, thread: &ArbiterHandle) {
        self.heartbeat.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Heartbeat::of_thread(thread));
    }
}

impl Drop for ActorGuard {
    fn drop(&mut self) {
        let cause = if std::thread::panicking() { "panicked" } else { "stopped" };
        // The supervisor may be gone already: then nobody needs to know.
        let _ = self.exits.send(ActorExit { name: self.name, generation: self.generation, cause });
    }
}
