//! The observations of all devices that wait for the next flush.

use std::collections::HashMap;

use super::device::Observation;
use crate::message::device::DeviceKey;
use crate::validate::event::Event;

/// The observations since the last flush, by device.
#[derive(Debug)]
pub struct Observations {
    devices: HashMap<DeviceKey, Observation>,
    max_devices: usize,
}

impl Observations {
    /// None. Beyond `max_devices` those of the devices that were silent longest are evicted.
    pub fn new(max_devices: usize) -> Self {
        Self { devices: HashMap::new(), max_devices }
    }

    /// Adds an event; `received_us` is the broker's time of its message, which `is_new` where its row was not stored before.
    pub fn observe(&mut self, received_us: i64, is_new: bool, event: Event) {
        match self.devices.get_mut(&event.device.key) {
            Some(known) => known.add(received_us, is_new, event),
            None => {
                let first = Observation::of(received_us, is_new, event);
                self.devices.insert(first.device.key.clone(), first);
            }
        }
    }

    /// Puts back what could not be flushed; events since then are newer.
    pub fn put_back(&mut self, mut older: Observation) {
        let key = older.device.key.clone();
        if let Some(newer) = self.devices.remove(&key) {
            older.merge(newer);
        }
        self.devices.insert(key, older);
    }

    /// Evicts the devices that were silent longest where there are too many, several at once; the number of events lost.
    pub fn evict(&mut self) -> u64 {
        if self.devices.len() <= self.max_devices {
            return 0;
        }
        let excess = (self.devices.len() - self.max_devices * 9 / 10).max(1);
        let mut seen: Vec<i64> = self.devices.values().map(|observation| observation.seen_us).collect();
        let (_, &mut newest_evicted, _) = seen.select_nth_unstable(excess - 1);
        let mut evicted = 0;
        self.devices.retain(|_, observation| {
            let stays = observation.seen_us > newest_evicted;
            evicted += if stays { 0 } else { observation.events };
            stays
        });
        evicted
    }

    /// Takes all of them, in the order of tenants and devices.
    pub fn take(&mut self) -> Vec<Observation> {
        let mut all: Vec<Observation> = self.devices.drain().map(|(_, observation)| observation).collect();
        all.sort_unstable_by(|a, b| a.device.key.cmp(&b.device.key));
        all
    }

    /// Number of devices.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}
