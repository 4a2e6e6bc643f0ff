//! What actors count of themselves: messages and time. Each counts for itself and for its role.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The messages of an actor, or of a role's actors in one generation, and the time that they took.
#[derive(Debug, Default)]
pub struct Traffic {
    /// That of its role, which counts the same; none where it is a role's.
    role: Option<Arc<Traffic>>,
    begun: AtomicU64,
    running: AtomicI64,
    received: AtomicU64,
    handled: AtomicU64,
    lost: AtomicU64,
    busy_us: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Actors that have begun.
    pub begun: u64,
    /// Those that run.
    pub running: i64,
    /// Messages that came.
    pub received: u64,
    /// Messages that were handled.
    pub handled: u64,
    /// Messages left in the queue of an actor that has ended.
    pub lost: u64,
    /// Time worked, in microseconds.
    pub busy_us: u64,
}

impl Traffic {
    /// Of one actor of this role.
    pub(crate) fn of_instance(role: Arc<Traffic>) -> Arc<Self> {
        Arc::new(Self { role: Some(role), ..Self::default() })
    }

    /// An actor begins.
    pub(crate) fn started(&self) {
        self.each(|of| {
            of.begun.fetch_add(1, Ordering::Relaxed);
            of.running.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// An actor ends, with so many messages in its queue.
    pub(crate) fn ended(&self, queued: usize) {
        self.each(|of| {
            of.running.fetch_sub(1, Ordering::Relaxed);
            of.lost.fetch_add(queued as u64, Ordering::Relaxed);
        });
    }

    /// Messages were taken into an actor's queue.
    pub(crate) fn received(&self, messages: usize) {
        self.each(|of| {
            of.received.fetch_add(messages as u64, Ordering::Relaxed);
        });
    }

    /// One of them was handled.
    pub(crate) fn handled(&self) {
        self.each(|of| {
            of.handled.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// An actor has worked for so long.
    pub(crate) fn worked(&self, time: Duration) {
        self.each(|of| {
            of.busy_us.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
        });
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // What is handled was received: in this order no queue is shorter than it was at any moment.
        let (lost, handled) = (read(&self.lost), read(&self.handled));
        Counts {
            begun: read(&self.begun),
            running: self.running.load(Ordering::Relaxed),
            received: read(&self.received),
            handled,
            lost,
            busy_us: read(&self.busy_us),
        }
    }

    fn each(&self, count: impl Fn(&Traffic)) {
        count(self);
        self.role.iter().for_each(|role| count(role));
    }
}

impl Counts {
    /// Messages that wait.
    pub(crate) fn queue(&self) -> u64 {
        self.received.saturating_sub(self.handled + self.lost)
    }

    /// These and what came after them.
    pub(crate) fn and(self, later: Counts) -> Counts {
        Counts {
            begun: self.begun + later.begun,
            running: later.running,
            received: self.received + later.received,
            handled: self.handled + later.handled,
            lost: self.lost + later.lost,
            busy_us: self.busy_us + later.busy_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_counts_for_itself_and_for_its_role() {
        let role = Arc::<Traffic>::default();
        let (one, other) = (Traffic::of_instance(role.clone()), Traffic::of_instance(role.clone()));
        one.started();
        one.received(3);
        one.handled();
        other.started();
        other.received(1);
        other.ended(1);
        let expected = Counts { begun: 1, running: 1, received: 3, handled: 1, ..Counts::default() };
        assert_eq!((one.counts(), one.counts().queue()), (expected, 2));
        assert_eq!((role.counts().begun, role.counts().running, role.counts().queue()), (2, 1, 2));
        assert_eq!(one.counts().and(expected).received, 6);
    }
}
