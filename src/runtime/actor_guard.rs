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
pub struct Lifeline {
    name: &'static str,
    generation: u64,
    deaths: UnboundedSender<Death>,
    pulse: Arc<Pulse>,
}

/// A child's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The role that died.
    pub name: &'static str,
    /// Which generation it belonged to.
    pub generation: u64,
    /// `panicked` or `stopped`.
    pub cause: &'static str,
}

/// A child's signs of life, as the supervisor reads them.
#[derive(Debug, Default)]
pub struct Pulse {
    progress: AtomicU64,
    busy: AtomicBool,
    /// Threads that the child has beside the one it lives on.
    threads: Mutex<Vec<Arc<Pulse>>>,
}

impl Pulse {
    /// A thread's heartbeat: always busy, and getting on as long as the thread turns.
    pub fn of_thread(thread: &ArbiterHandle) -> Arc<Self> {
        let pulse = Arc::new(Self { busy: AtomicBool::new(true), ..Self::default() });
        let beating = pulse.clone();
        // A thread that is gone does not beat.
        thread.spawn(async move {
            loop {
                beating.progress.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        pulse
    }

    /// A number that changes whenever the child gets on, and whether it has work at all.
    pub fn read(&self) -> (u64, bool) {
        (self.progress.load(Ordering::Relaxed), self.busy.load(Ordering::Relaxed))
    }

    /// The heartbeats of the child's own threads.
    pub fn threads(&self) -> Vec<Arc<Pulse>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lifeline {
    /// A lifeline of a child of this generation.
    pub fn new(name: &'static str, generation: u64, deaths: UnboundedSender<Death>, pulse: Arc<Pulse>) -> Self {
        Self { name, generation, deaths, pulse }
    }

    /// The child got on: a chunk done, an attempt ended, a retry begun.
    pub fn progress(&self) {
        self.pulse.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the child has work: only then is standing still a sign of death.
    pub fn busy(&self, busy: bool) {
        self.pulse.busy.store(busy, Ordering::Relaxed);
    }

    /// Has a thread of the child's own watched: when it stands still, the child does.
    pub fn watch_thread(&self, thread: &ArbiterHandle) {
        self.pulse.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Pulse::of_thread(thread));
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let cause = if std::thread::panicking() { "panicked" } else { "stopped" };
        // The supervisor may be gone already: then nobody needs to know.
        let _ = self.deaths.send(Death { name: self.name, generation: self.generation, cause });
    }
}
