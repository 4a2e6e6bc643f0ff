//! One generation of the tree: all children, their threads, and their common end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use actix_rt::Arbiter;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::child::{Child, Factory, Seat, Wiring};
use crate::lifeline::{Death, Lifeline, Pulse};
use crate::message::{Drain, Release};

/// A generation lives and dies as one.
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    children: Vec<Child>,
    consumers: Vec<Recipient<Release>>,
    threads: BTreeMap<String, Arbiter>,
}

impl Generation {
    /// Builds all children, in the order of the list: what others send to comes first.
    ///
    /// # Errors
    /// Which child could not be built, and why.
    pub fn build(number: u64, factories: &[Factory], deaths: &UnboundedSender<Death>) -> Result<Self, String> {
        let mut generation = Self { number, children: Vec::new(), consumers: Vec::new(), threads: BTreeMap::new() };
        let mut wiring = Wiring::default();
        for factory in factories {
            let pulse = Arc::new(Pulse::default());
            let lifeline = Lifeline::new(factory.name, number, deaths.clone(), pulse.clone());
            let thread = generation.threads.entry(factory.thread.clone()).or_insert_with(Arbiter::new).handle();
            let drain = (factory.build)(&mut wiring, Seat { thread, lifeline })
                .map_err(|why| format!("{} can't be built: {why}", factory.name));
            match drain {
                Ok(drain) => generation.children.push(Child { name: factory.name, pulse, drain, seen: (0, 0) }),
                Err(why) => {
                    generation.stop_threads();
                    return Err(why);
                }
            }
        }
        generation.consumers = wiring.consumers;
        Ok(generation)
    }

    /// Looks at the children's signs of life; the name of one that has work and stands still for `bound_ms`.
    pub fn find_stuck(&mut self, now_ms: u64, bound_ms: u64) -> Option<&'static str> {
        for child in &mut self.children {
            let (progress, busy) = child.pulse.read();
            let (last_progress, since_ms) = &mut child.seen;
            if !busy || progress != *last_progress {
                (*last_progress, *since_ms) = (progress, now_ms);
            } else if now_ms.saturating_sub(*since_ms) >= bound_ms {
                return Some(child.name);
            }
        }
        None
    }

    /// Asks every child to finish, top-down: from the door to the sinks. Whoever does not answer holds up the rest.
    pub fn drain(&self) -> impl Future<Output = ()> + use<> {
        let drains: Vec<_> = self.children.iter().rev().map(|child| child.drain.clone()).collect();
        async move {
            // Twice: what a sink refuses while it drains becomes work for a room above it, which had finished before.
            for drain in drains.iter().chain(&drains) {
                // A dead child has nothing left to finish.
                let _ = drain.send(Drain).await;
            }
        }
    }

    /// Gives everything in flight back to the broker, within `bound`; how many deliveries that were.
    pub fn release(&self, bound: Duration) -> impl Future<Output = usize> + use<> {
        let releases: Vec<_> = self.consumers.iter().map(|consumer| consumer.send(Release)).collect();
        async move {
            let all = futures_util::future::join_all(releases);
            // A consumer that can't answer leaves its deliveries to the broker's own clock.
            timeout(bound, all).await.unwrap_or_default().into_iter().flatten().sum()
        }
    }

    /// Ends all children where they stand. A thread that hangs is left behind: it can't be forced.
    pub fn stop_threads(&self) {
        for thread in self.threads.values() {
            thread.stop();
        }
    }
}
