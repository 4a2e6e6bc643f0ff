//! A steady stream of messages, while a test changes something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ingest_kit::envelope::telemetry;
use ingest_kit::jetstream::{Outgoing, publish_all};
use ingest_kit::seed::Device;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::world::World;

/// A round of messages is published so often, where the broker keeps up.
const ROUND: Duration = Duration::from_millis(20);

/// Rounds of messages, until they are stopped. The next one waits for the broker's word on the one before.
pub(crate) struct Traffic {
    done: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Traffic {
    /// Devices that send one good message each per round; the first message has this number.
    pub(crate) fn of(world: &World, devices: Vec<Device>, first_seq: u64) -> Self {
        Self::rounds(world, devices.len(), move |number| {
            telemetry(&devices[number as usize % devices.len()], first_seq + number)
        })
    }

    /// Rounds of so many messages, each made from its number.
    pub(crate) fn rounds(world: &World, per_round: usize, make: impl Fn(u64) -> Outgoing + Send + 'static) -> Self {
        let (jetstream, done) = (world.jetstream.clone(), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn({
            let done = done.clone();
            async move {
                let (mut published, mut clock) = (0, tokio::time::interval(ROUND));
                clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !done.load(Ordering::Relaxed) {
                    clock.tick().await;
                    let round: Vec<Outgoing> = (published..).take(per_round).map(&make).collect();
                    published += publish_all(&jetstream, round).await.len() as u64;
                }
                published
            }
        });
        Self { done, task }
    }

    /// Stops; how many messages the broker has taken.
    pub(crate) async fn stop(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.task.await.expect("every message is published")
    }
}
