//! Every actor of the tree by its own name, and what is counted of it. Reading it asks no actor: one that is stuck is shown.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use parking_lot::Mutex;

use super::actor_guard::Heartbeat;
use crate::metrics::{Counts, LastExit, Traffic};

/// The actors of the tree, in the order of its list.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    list: Mutex<Vec<Instance>>,
    /// Who wants to know of a change at once.
    changes: Mutex<Option<SyncSender<()>>>,
}

/// One actor, over all generations.
#[derive(Debug)]
struct Instance {
    name: Arc<str>,
    role: &'static str,
    current: Option<Current>,
    /// What earlier generations have counted.
    before: Counts,
    restarts: u64,
    last_exit: Option<LastExit>,
}

/// The actor of the last generation.
#[derive(Clone, Debug)]
struct Current {
    generation: u64,
    thread: Arc<str>,
    thread_heartbeat: Arc<Heartbeat>,
    heartbeat: Arc<Heartbeat>,
    traffic: Arc<Traffic>,
}

/// An actor that is about to be built.
#[derive(Debug)]
pub(crate) struct Begins {
    /// Its own name.
    pub name: Arc<str>,
    /// Of which generation.
    pub generation: u64,
    /// Its thread's name.
    pub thread: Arc<str>,
    /// Its thread's progress.
    pub thread_heartbeat: Arc<Heartbeat>,
    /// Its own progress.
    pub heartbeat: Arc<Heartbeat>,
    /// The traffic of its role.
    pub role_traffic: Arc<Traffic>,
}

/// An actor at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceReading {
    /// Its own name.
    pub name: Arc<str>,
    /// Its role.
    pub role: &'static str,
    /// The generation that it belongs to; `None` before the first.
    pub generation: Option<u64>,
    /// Its thread; `None` before the first generation.
    pub thread: Option<Arc<str>>,
    /// What the actor of this generation has counted.
    pub counts: Counts,
    /// The same over all generations.
    pub totals: Counts,
    /// Whether it has work, as far as it says so.
    pub has_work: bool,
    /// A number that changes with its progress, and whether it has to.
    pub progress: u64,
    pub has_to_progress: bool,
    /// The same of the threads that it runs on.
    pub threads: Vec<u64>,
    /// Restarts that it has caused.
    pub restarts: u64,
    /// How it ended last.
    pub last_exit: Option<LastExit>,
}

impl Instances {
    /// Lists an actor that no generation has yet.
    pub(crate) fn list(&self, name: Arc<str>, role: &'static str) {
        let before = Counts::default();
        self.list.lock().push(Instance { name, role, current: None, before, restarts: 0, last_exit: None });
        self.changed();
    }

    /// An actor of a new generation; returns what counts its messages and its time.
    pub(crate) fn begin(&self, actor: Begins) -> Arc<Traffic> {
        let Begins { name, generation, thread, thread_heartbeat, heartbeat, role_traffic } = actor;
        let traffic = Traffic::of_instance(role_traffic);
        let current = Current { generation, thread, thread_heartbeat, heartbeat, traffic: traffic.clone() };
        self.with(&name, |instance| {
            instance.before = instance.totals();
            instance.current = Some(current);
        });
        traffic
    }

    /// Counts a restart that an actor has caused.
    pub(crate) fn restarted(&self, name: &str) {
        self.with(name, |instance| instance.restarts += 1);
    }

    /// An actor has ended, or stands still.
    pub(crate) fn exited(&self, name: &str, cause: &'static str) {
        self.with(name, |instance| instance.last_exit = Some(LastExit::now(cause)));
    }

    /// Reports there when an actor is listed, begins, ends or is restarted, from now on. Several changes may be one report.
    pub(crate) fn report_changes(&self, changes: SyncSender<()>) {
        *self.changes.lock() = Some(changes);
    }

    /// All of them at this moment.
    pub(crate) fn read(&self) -> Vec<InstanceReading> {
        self.list.lock().iter().map(Instance::read).collect()
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Instance)) {
        if let Some(found) = self.list.lock().iter_mut().find(|instance| *instance.name == *name) {
            change(found);
        }
        self.changed();
    }

    fn changed(&self) {
        // An error means that a report is under way, or that nobody reads them.
        self.changes.lock().iter().for_each(|changes| {
            let _ = changes.try_send(());
        });
    }
}

impl Instance {
    fn totals(&self) -> Counts {
        self.current.as_ref().map_or(self.before, |current| self.before.and(current.traffic.counts()))
    }

    fn read(&self) -> InstanceReading {
        let current = self.current.as_ref();
        let (progress, has_to_progress) = current.map_or((0, false), |current| current.heartbeat.read());
        let threads = current.map(|current| {
            let own = current.heartbeat.threads();
            std::iter::once(&current.thread_heartbeat).chain(&own).map(|thread| thread.read().0).collect()
        });
        InstanceReading {
            name: self.name.clone(),
            role: self.role,
            generation: current.map(|current| current.generation),
            thread: current.map(|current| current.thread.clone()),
            counts: current.map(|current| current.traffic.counts()).unwrap_or_default(),
            totals: self.totals(),
            has_work: current.is_some_and(|current| current.heartbeat.has_work()),
            progress,
            has_to_progress,
            threads: threads.unwrap_or_default(),
            restarts: self.restarts,
            last_exit: self.last_exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn begin(instances: &Instances, generation: u64) -> (Arc<Traffic>, Arc<Heartbeat>) {
        let heartbeat = Arc::<Heartbeat>::default();
        let traffic = instances.begin(Begins {
            name: "writer".into(),
            generation,
            thread: "store".into(),
            thread_heartbeat: Arc::default(),
            heartbeat: heartbeat.clone(),
            role_traffic: Arc::default(),
        });
        (traffic, heartbeat)
    }

    #[test]
    fn what_an_actor_counts_adds_up_over_its_generations_and_its_queue_does_not() {
        let instances = Instances::default();
        let (changes, reported) = sync_channel(1);
        instances.report_changes(changes);
        instances.list("writer".into(), "writer");
        instances.exited("nobody", "stopped");
        assert!(reported.try_recv().is_ok() && reported.try_recv().is_err(), "one report of both");
        let listed = instances.read().remove(0);
        assert_eq!((listed.generation, listed.thread, listed.counts), (None, None, Counts::default()));

        let (blocked, _) = begin(&instances, 1);
        blocked.started();
        blocked.received(5);
        blocked.handled();
        instances.exited("writer", "stalled");
        instances.restarted("writer");
        instances.restarted("nobody");
        let (next, _) = begin(&instances, 2);
        next.received(2);
        let read = instances.read().remove(0);
        assert_eq!((read.generation, read.totals.received, read.totals.handled), (Some(2), 7, 1));
        assert_eq!((read.counts.queue(), read.counts.begun, read.threads.len()), (2, 0, 1));
        assert_eq!((read.restarts, read.last_exit.map(|exit| exit.cause)), (1, Some("stalled")));
    }
}
