//! What a validator remembers of the registry: answers with their age, bounded in number.

use std::sync::Arc;

use quick_cache::unsync::Cache;

use crate::core::device::{DeviceKey, DeviceRef, Lookup};

/// How long answers are good for, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// An answer is trusted so long without asking again.
    pub ttl_ms: u64,
    /// The same for unknown devices: short, for they may be about to be registered.
    pub negative_ttl_ms: u64,
    /// While the registry can't be asked, an answer serves up to this age.
    pub max_staleness_ms: u64,
}

/// One validator's share of the device cache.
pub struct DeviceCache {
    entries: Cache<DeviceKey, Entry>,
    ages: Ages,
}

#[derive(Clone)]
struct Entry {
    lookup: Lookup,
    fetched_ms: u64,
}

impl DeviceCache {
    /// An empty cache of at most `capacity` devices.
    pub fn new(capacity: usize, ages: Ages) -> Self {
        Self { entries: Cache::new(capacity.max(1)), ages }
    }

    /// The answer, where it is still good. `reachable` says whether the registry could be asked instead.
    pub fn get(&self, device: DeviceRef<'_>, now_ms: u64, reachable: bool) -> Option<&Lookup> {
        let entry = self.entries.get(&device)?;
        let ttl_ms = match (reachable, &entry.lookup) {
            (true, Lookup::Found(_)) => self.ages.ttl_ms,
            (true, _) => self.ages.negative_ttl_ms,
            (false, _) => self.ages.max_staleness_ms,
        };
        (now_ms.saturating_sub(entry.fetched_ms) < ttl_ms).then_some(&entry.lookup)
    }

    /// Remembers an answer.
    pub fn insert(&mut self, key: DeviceKey, lookup: Lookup, now_ms: u64) {
        self.entries.insert(key, Entry { lookup, fetched_ms: now_ms });
    }

    /// Forgets a device.
    pub fn forget(&mut self, key: &DeviceKey) {
        self.entries.remove(key);
    }

    /// Forgets a tenant's devices.
    pub fn forget_tenant(&mut self, tenant_id: &Arc<str>) {
        self.entries.retain(|key, _| key.tenant_id != *tenant_id);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many devices it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGES: Ages = Ages { ttl_ms: 60, negative_ttl_ms: 10, max_staleness_ms: 900 };

    fn unknown() -> (DeviceCache, DeviceKey) {
        let mut cache = DeviceCache::new(10, AGES);
        let key = DeviceKey::new("t", "d");
        cache.insert(key.clone(), Lookup::Unknown, 0);
        (cache, key)
    }

    #[test]
    fn an_answer_serves_for_its_ttl_and_longer_while_nobody_can_be_asked() {
        let (cache, _) = unknown();
        let device = DeviceRef { tenant_id: "t", device_id: "d" };
        assert!(cache.get(device, 9, true).is_some());
        assert!(cache.get(device, 10, true).is_none());
        assert!(cache.get(device, 899, false).is_some());
        assert!(cache.get(device, 900, false).is_none());
    }

    #[test]
    fn what_is_forgotten_is_asked_again() {
        let (mut cache, key) = unknown();
        cache.forget_tenant(&"other".into());
        assert_eq!(cache.len(), 1);
        cache.forget(&key);
        assert_eq!(cache.len(), 0);
    }
}
