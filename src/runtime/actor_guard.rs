//! Actor guard and heartbeat: how the supervisor learns of an actor's exit and of its progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix_rt::ArbiterHandle;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

/// Period of a thread's heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Drop guard that an actor owns: dropping it, by stop, error or panic, reports the exit, so that none goes unnoticed.
#[derive(Debug)]
pub struct ActorGuard {
    name: &'static str,
    instance: Arc<str>,
    generation: u64,
    exits: UnboundedSender<ActorExit>,
    heartbeat: Arc<Heartbeat>,
}

/// The exit of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorExit {
    /// The actor's role.
    pub name: &'static str,
    /// Its own name, where there are several of its role.
    pub instance: Arc<str>,
    /// The generation that it belonged to.
    pub generation: u64,
    /// `panicked` or `stopped`.
    pub cause: &'static str,
}

/// An actor's progress, as the supervisor reads it.
#[derive(Debug, Default)]
pub struct Heartbeat {
    progress: AtomicU64,
    busy: AtomicBool,
    /// Whether it has to make progress also without work.
    is_always_on: AtomicBool,
    /// Heartbeats of the actor's own threads, beside the one it runs on.
    threads: Mutex<Vec<Arc<Heartbeat>>>,
}

impl Heartbeat {
    /// A thread's heartbeat: always busy, and making progress as long as the thread runs its event loop.
    pub fn of_thread(thread: &ArbiterHandle) -> Arc<Self> {
        let heartbeat = Arc::new(Self { busy: AtomicBool::new(true), ..Self::default() });
        let shared = heartbeat.clone();
        thread.spawn(async move {
            loop {
                shared.progress.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        heartbeat
    }

    /// A number that changes with every progress, and whether it has to change.
    pub fn read(&self) -> (u64, bool) {
        let has_to = self.has_work() || self.is_always_on.load(Ordering::Relaxed);
        (self.progress.load(Ordering::Relaxed), has_to)
    }

    /// Whether the actor has work, as far as it says so.
    pub(crate) fn has_work(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// The heartbeats of the actor's own threads.
    pub fn threads(&self) -> Vec<Arc<Heartbeat>> {
        self.threads.lock().clone()
    }
}

impl ActorGuard {
    /// A guard for the actor of this role, own name and generation; its exit goes to `exits`.
    pub fn new(
        name: &'static str,
        instance: Arc<str>,
        generation: u64,
        exits: UnboundedSender<ActorExit>,
        heartbeat: Arc<Heartbeat>,
    ) -> Self {
        Self { name, instance, generation, exits, heartbeat }
    }

    /// The actor made progress: a chunk done, an attempt ended, a retry begun.
    pub fn progress(&self) {
        self.heartbeat.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the actor has work: only then does missing progress count as a stall.
    pub fn busy(&self, busy: bool) {
        self.heartbeat.busy.store(busy, Ordering::Relaxed);
    }

    /// The actor makes progress by the clock, whether it has work or not: missing progress always counts as a stall.
    pub fn always_on(&self) {
        self.heartbeat.is_always_on.store(true, Ordering::Relaxed);
    }

    /// Adds a thread of the actor's own to its heartbeat: when the thread stalls, the actor has stalled. Returns the thread's.
    pub fn watch_thread(&self, thread: &ArbiterHandle) -> Arc<Heartbeat> {
        let heartbeat = Heartbeat::of_thread(thread);
        self.heartbeat.threads.lock().push(heartbeat.clone());
        heartbeat
    }
}

impl Drop for ActorGuard {
    fn drop(&mut self) {
        let cause = if std::thread::panicking() { "panicked" } else { "stopped" };
        // An error means that the supervisor has ended already.
        let _ = self.exits.send(ActorExit {
            name: self.name,
            instance: self.instance.clone(),
            generation: self.generation,
            cause,
        });
    }
}
