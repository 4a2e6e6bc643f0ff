//! A tenant's batcher as an actor: its thread, its traffic, its restarts; over all batchers of the tenant, one after another.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::metrics::{BatcherReading, LastExit, Traffic};
use crate::runtime::actor_guard::Heartbeat;

/// A thread that batchers run on.
#[derive(Clone, Debug)]
pub(super) struct BatcherThread {
    /// Its name.
    pub name: Arc<str>,
    /// Its progress.
    pub heartbeat: Arc<Heartbeat>,
}

/// What is shown of a batcher beside its lines.
#[derive(Debug)]
pub(super) struct BatcherLife {
    traffic: Arc<Traffic>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    thread: Option<BatcherThread>,
    restarts: u64,
    exit: Option<LastExit>,
}

impl BatcherLife {
    /// Of a tenant whose batcher is about to be made. It counts for all batchers, too.
    pub(super) fn new(batchers: &Arc<Traffic>) -> Self {
        Self { traffic: Traffic::of_instance(batchers.clone()), last: Mutex::default() }
    }

    /// The tenant's batcher is started on this thread; returns what counts its messages and its time.
    pub(super) fn begins(&self, thread: BatcherThread) -> Arc<Traffic> {
        self.last.lock().thread = Some(thread);
        self.traffic.clone()
    }

    /// It has ended, and will be made again.
    pub(super) fn exited(&self, cause: &'static str) {
        let mut last = self.last.lock();
        last.restarts += 1;
        last.exit = Some(LastExit::now(cause));
    }

    /// The reading with this part of it.
    pub(super) fn add_to(&self, reading: BatcherReading) -> BatcherReading {
        let last = self.last.lock();
        let thread = last.thread.as_ref();
        BatcherReading {
            thread: thread.map(|thread| thread.name.clone()),
            thread_progress: thread.map_or(0, |thread| thread.heartbeat.read().0),
            counts: self.traffic.counts(),
            restarts: last.restarts,
            last_exit: last.exit,
            ..reading
        }
    }
}
