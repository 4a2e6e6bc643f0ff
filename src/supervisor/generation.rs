//! Generation: all children of one life of the tree and their threads, built, drained and stopped together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use actix_rt::Arbiter;
use futures_util::future::join_all;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::child::{BuildError, Child, Factory, Wiring};
use super::environment::Environment;
use super::stall::StallDetector;
use crate::message::{Drain, Release};
use crate::runtime::actor_guard::{ActorExit, ActorGuard, Heartbeat};
use crate::runtime::instances::Begins;

/// One life of the actor tree.
pub(super) struct Generation {
    /// Its number, from 1.
    pub number: u64,
    children: Vec<Child>,
    holders: Vec<Recipient<Release>>,
    threads: BTreeMap<String, Thread>,
}

/// A thread that children run on.
struct Thread {
    arbiter: Arbiter,
    heartbeat: Arc<Heartbeat>,
    stall: StallDetector,
}

/// A generation without one of its children is none.
#[derive(Debug, Error)]
#[error("{child} can't be built: {why}")]
pub(super) struct NotBuilt {
    child: &'static str,
    why: BuildError,
}

/// A detected stall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    /// The role of the child that the restart is attributed to.
    pub actor: &'static str,
    /// Its own name.
    pub instance: Arc<str>,
    /// The thread and its children, where the whole thread has stalled.
    pub thread: Option<(String, Vec<Arc<str>>)>,
}

impl Generation {
    /// Builds all children, in the order of the list: what others send to comes first.
    ///
    /// # Errors
    /// Which child could not be built, and why.
    pub(super) fn build<W: Wiring>(
        number: u64,
        factories: &[Factory<W>],
        environment: &Environment,
        exits: &UnboundedSender<ActorExit>,
        now_ms: u64,
    ) -> Result<Self, NotBuilt> {
        let mut generation = Self { number, children: Vec::new(), holders: Vec::new(), threads: BTreeMap::new() };
        let mut wiring = W::default();
        environment.metrics.actors.next_generation();
        for factory in factories {
            match generation.child(factory, &mut wiring, environment, exits, now_ms) {
                Ok(child) => generation.children.push(child),
                Err(why) => {
                    generation.stop_threads();
                    return Err(NotBuilt { child: factory.name, why });
                }
            }
        }
        generation.holders = wiring.holders();
        Ok(generation)
    }

    fn child<W: Wiring>(
        &mut self,
        factory: &Factory<W>,
        wiring: &mut W,
        environment: &Environment,
        exits: &UnboundedSender<ActorExit>,
        now_ms: u64,
    ) -> Result<Child, BuildError> {
        let Factory { name, instance, thread, .. } = factory;
        let (heartbeat, generation) = (Arc::new(Heartbeat::default()), self.number);
        let actor_guard = ActorGuard::new(name, instance.clone(), generation, exits.clone(), heartbeat.clone());
        let Thread { arbiter, heartbeat: thread_heartbeat, .. } = self.thread(thread, now_ms);
        let traffic = environment.instances.begin(Begins {
            name: instance.clone(),
            generation,
            thread: thread.as_str().into(),
            thread_heartbeat: thread_heartbeat.clone(),
            heartbeat: heartbeat.clone(),
            role_traffic: environment.metrics.actors.traffic(name),
        });
        let context = environment.spawn_context(factory.component, arbiter.handle(), actor_guard, traffic);
        let drain = (factory.build)(wiring, context)?;
        let stall = StallDetector::new(heartbeat, now_ms);
        Ok(Child { name, instance: instance.clone(), thread: thread.clone(), stall, drain })
    }

    /// The thread of this name, started where there is none.
    fn thread(&mut self, name: &str, now_ms: u64) -> &Thread {
        let start = || {
            let arbiter = Arbiter::new();
            let heartbeat = Heartbeat::of_thread(&arbiter.handle());
            Thread { arbiter, stall: StallDetector::new(heartbeat.clone(), now_ms), heartbeat }
        };
        self.threads.entry(name.to_owned()).or_insert_with(start)
    }

    /// Finds a thread whose event loop has not run for `bound_ms`, or a child that has work and makes no progress.
    pub(super) fn find_stall(&mut self, now_ms: u64, bound_ms: u64) -> Option<Stall> {
        let mut threads = self.threads.iter_mut();
        let name = threads.find_map(|(name, thread)| thread.stall.is_stalled(now_ms, bound_ms).then_some(name));
        if let Some(name) = name {
            let residents: Vec<&Child> = self.children.iter().filter(|child| child.thread == *name).collect();
            let stalled = residents.iter().find(|child| child.stall.is_busy()).or(residents.first())?;
            let names = residents.iter().map(|child| child.instance.clone()).collect();
            let thread = Some((name.clone(), names));
            return Some(Stall { actor: stalled.name, instance: stalled.instance.clone(), thread });
        }
        let mut children = self.children.iter_mut();
        let child = children.find_map(|child| child.stall.is_stalled(now_ms, bound_ms).then_some(&*child))?;
        Some(Stall { actor: child.name, instance: child.instance.clone(), thread: None })
    }

    /// Asks every child to finish, top-down: from the door to the sinks. Whoever does not answer holds up the rest; the
    /// first one that died before it had finished is the error.
    pub(super) fn drain(&self) -> impl Future<Output = Result<(), &'static str>> + use<> {
        let drains: Vec<_> = self.children.iter().rev().map(|child| (child.name, child.drain.clone())).collect();
        async move {
            let mut died = None;
            // Once: whatever a child still sends while it drains goes to a child below it, whose turn comes later.
            for (name, drain) in drains {
                if drain.send(Drain).await.is_err() {
                    died.get_or_insert(name);
                }
            }
            died.map_or(Ok(()), Err)
        }
    }

    /// Releases everything in flight to the broker, within `bound`; returns the number of deliveries.
    pub(super) fn release(&self, bound: Duration) -> impl Future<Output = usize> + use<> {
        let releases: Vec<_> = self.holders.iter().map(|holder| timeout(bound, holder.send(Release))).collect();
        async move {
            // Deliveries of a consumer that does not answer are redelivered after ack_wait.
            join_all(releases).await.into_iter().flatten().flatten().sum()
        }
    }

    /// Stops all threads and their children. A blocked thread is left behind, as it can't be stopped.
    pub(super) fn stop_threads(&self) {
        for thread in self.threads.values() {
            thread.arbiter.stop();
        }
    }
}

#[cfg(test)]
mod tests {

    use actix::prelude::*;
    use parking_lot::Mutex;
    use slog::{Discard, Logger, o};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::metrics::Metrics;
    use crate::runtime::readiness::Readiness;
    use crate::runtime::spawn::{SpawnContext, start};

    /// What reached the children, in its order.
    type Journal = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

    /// A child that sends something to the child below it when it drains.
    struct Stub {
        spawn: SpawnContext,
        name: &'static str,
        below: Option<Recipient<Leftover>>,
        journal: Journal,
    }

    /// What a child still sends while it drains.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Leftover;

    impl Stub {
        fn record(&self, what: &'static str) {
            self.spawn.actor_guard.progress();
            self.journal.lock().push((self.name, what));
        }
    }

    impl Actor for Stub {
        type Context = Context<Self>;
    }

    impl Handler<Drain> for Stub {
        type Result = ();

        fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
            self.record("drain");
            if let Some(below) = &self.below {
                below.do_send(Leftover);
            }
        }
    }

    impl Handler<Leftover> for Stub {
        type Result = ();

        fn handle(&mut self, _: Leftover, _: &mut Context<Self>) {
            self.record("leftover");
        }
    }

    /// The child that was built last.
    #[derive(Default)]
    struct Built(Option<Recipient<Leftover>>);

    impl Wiring for Built {
        fn holders(&self) -> Vec<Recipient<Release>> {
            Vec::new()
        }
    }

    fn factory(name: &'static str, journal: Journal) -> Factory<Built> {
        let build = move |built: &mut Built, spawn: SpawnContext| {
            let place = spawn.place();
            let stub = Stub { spawn, name, below: built.0.take(), journal: journal.clone() };
            let stub = start(&place, stub);
            built.0 = Some(stub.clone().recipient());
            Ok(stub.recipient())
        };
        // Each has a thread of its own: nothing but the drain's order keeps them apart.
        Factory::new(name, "test", name, build)
    }

    #[actix::test]
    async fn every_child_drains_once_top_down_and_after_all_that_is_sent_to_it() {
        let journal = Journal::default();
        let factories: Vec<_> = ["sink", "router", "source"].map(|name| factory(name, journal.clone())).into();
        let log = Logger::root(Discard, o!());
        let (metrics, readiness, instances) = (Metrics::new(), Readiness::new(), Arc::default());
        let environment = Environment { log, metrics, readiness, instances };
        let (exits, _exited) = unbounded_channel();
        let generation = Generation::build(1, &factories, &environment, &exits, 0).unwrap();
        assert_eq!(generation.drain().await, Ok(()));
        let expected =
            [("source", "drain"), ("router", "leftover"), ("router", "drain"), ("sink", "leftover"), ("sink", "drain")];
        assert_eq!(journal.lock()[..], expected);
        generation.stop_threads();
    }
}
