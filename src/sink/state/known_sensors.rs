//! Which devices' sensors need not be looked for.

use std::fmt;
use std::time::{Duration, Instant};

use quick_cache::unsync::Cache;

use ingest_core::message::device::{Device, DeviceKey};
use ingest_core::state::observation::Observation;

/// Sets of metrics that have been dealt with: each of their sensors exists, or there was no room for it. Bounded; what
/// falls out is merely looked for again.
pub(super) struct KnownSensors {
    sets: Cache<(DeviceKey, u64), Entry>,
    ttl: Duration,
}

#[derive(Clone, Copy)]
struct Entry {
    since: Instant,
    /// With another limit there may be room.
    sensor_limit: u32,
}

impl KnownSensors {
    /// Capacity for so many sets, each believed for `ttl`.
    pub(super) fn new(max_size: usize, ttl: Duration) -> Self {
        Self { sets: Cache::new(max_size), ttl }
    }

    /// Whether every sensor of an observation has been dealt with.
    pub(super) fn contains(&self, observation: &Observation) -> bool {
        let device = &*observation.device;
        observation.signatures().is_some_and(|mut signatures| signatures.all(|set| self.contains_set(device, set)))
    }

    fn contains_set(&self, device: &Device, signature: u64) -> bool {
        self.sets
            .get(&(device.key.clone(), signature))
            .is_some_and(|entry| entry.since.elapsed() < self.ttl && entry.sensor_limit == device.sensor_limit)
    }

    /// Every sensor of this observation has been dealt with.
    pub(super) fn insert(&mut self, observation: &Observation) {
        let Device { key, sensor_limit, .. } = &*observation.device;
        for signature in observation.signatures().into_iter().flatten() {
            let entry = Entry { since: Instant::now(), sensor_limit: *sensor_limit };
            self.sets.insert((key.clone(), signature), entry);
        }
    }
}

impl fmt::Debug for KnownSensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSensors").field("sets", &self.sets.len()).finish_non_exhaustive()
    }
}
