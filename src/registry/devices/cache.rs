//! What is remembered of the registry: answers with their age, bounded in bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::message::Answer;
use ingest_core::message::device::{DeviceKey, DeviceRef, Lookup};

/// What a registered device is taken to weigh at least: so that the bound in bytes is one in number, too.
const DEVICE_BYTES: usize = 512;
/// The same for what is not registered: senders choose those names, so all of them share a small bound of their own, of
/// 10,000 names over all shares, and push out no device.
const STRANGER_BYTES: usize = 420;
const STRANGERS: usize = 10_000;
/// What the cache itself needs for an entry.
const OVERHEAD_BYTES: usize = 96;

/// How long answers are good for, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    /// An answer is trusted so long without asking again.
    pub ttl_ms: u64,
    /// The same for unknown devices: short, for they may be about to be registered.
    pub negative_ttl_ms: u64,
    /// The same for all of them while changes are not heard of.
    pub unheard_ttl_ms: u64,
    /// While the registry can't be asked, an answer serves up to this age.
    pub max_staleness_ms: u64,
}

/// While changes are not heard of, answers are trusted no longer than this: what was revoked is seen soon all the same.
const UNHEARD_TTL_MS: u64 = 5_000;

/// What decides how long an answer is good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistryLink {
    /// Whether the registry can be asked.
    pub is_reachable: bool,
    /// Whether changes are heard of.
    pub is_listening: bool,
}

/// One share of the device cache.
pub(crate) struct DeviceCache {
    devices: Cache<DeviceKey, Entry, Weigh>,
    strangers: Cache<DeviceKey, Entry, Weigh>,
    ages: Ages,
}

#[derive(Clone)]
struct Entry {
    answer: Answer,
    fetched_ms: u64,
    weight: u64,
}

#[derive(Clone, Copy)]
struct Weigh;

impl Weighter<DeviceKey, Entry> for Weigh {
    fn weight(&self, _: &DeviceKey, entry: &Entry) -> u64 {
        entry.weight
    }
}

impl DeviceCache {
    /// An empty cache of at most `capacity` devices of usual size: one of `share` that a node has.
    pub(crate) fn new(capacity: usize, share: usize, ages: Ages) -> Self {
        let of = |count: usize, bytes: usize| {
            let count = count.div_ceil(share.max(1)).max(1);
            Cache::with_weighter(count, (count * bytes) as u64, Weigh)
        };
        Self { devices: of(capacity, DEVICE_BYTES), strangers: of(STRANGERS, STRANGER_BYTES), ages }
    }

    /// The answer, where it is still good. `claims_a_site` says whether the message could be provisioned.
    pub(crate) fn get(
        &self,
        device: DeviceRef<'_>,
        claims_a_site: bool,
        now_ms: u64,
        link: RegistryLink,
    ) -> Option<&Answer> {
        let entry = self.devices.get(&device).or_else(|| self.strangers.get(&device))?;
        if claims_a_site && !entry.answer.is_final {
            return None;
        }
        let age_ms = now_ms.saturating_sub(entry.fetched_ms);
        (age_ms < self.ages.ttl_ms(&entry.answer.lookup, link)).then_some(&entry.answer)
    }

    /// Remembers an answer, where there is room for one of its size.
    pub(crate) fn insert(&mut self, key: DeviceKey, answer: Answer, now_ms: u64) {
        let (cache, other, least, bytes) = match &answer.lookup {
            Lookup::Found(device) => (&mut self.devices, &mut self.strangers, DEVICE_BYTES, device.size_bytes()),
            _ => (&mut self.strangers, &mut self.devices, STRANGER_BYTES, key.size_bytes()),
        };
        other.remove(&key);
        let weight = least.max(bytes + size_of::<(DeviceKey, Entry)>() + OVERHEAD_BYTES) as u64;
        cache.insert(key, Entry { answer, fetched_ms: now_ms, weight });
    }

    /// Forgets a device.
    pub(crate) fn forget(&mut self, key: &DeviceKey) {
        self.devices.remove(key);
        self.strangers.remove(key);
    }

    /// Forgets a tenant's devices.
    pub(crate) fn forget_tenant(&mut self, tenant_id: &Arc<str>) {
        self.devices.retain(|key, _| key.tenant_id != *tenant_id);
        self.strangers.retain(|key, _| key.tenant_id != *tenant_id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.devices.clear();
        self.strangers.clear();
    }

    /// How many answers it holds.
    pub(crate) fn len(&self) -> usize {
        self.devices.len() + self.strangers.len()
    }

    /// About how many bytes they take.
    #[cfg(test)]
    fn weight(&self) -> (u64, u64) {
        (self.devices.weight(), self.strangers.weight())
    }
}

impl Ages {
    /// With these times, in milliseconds.
    pub(crate) const fn new(ttl_ms: u64, negative_ttl_ms: u64, max_staleness_ms: u64) -> Self {
        Self { ttl_ms, negative_ttl_ms, unheard_ttl_ms: UNHEARD_TTL_MS, max_staleness_ms }
    }

    fn ttl_ms(&self, lookup: &Lookup, link: RegistryLink) -> u64 {
        if !link.is_reachable {
            return self.max_staleness_ms;
        }
        let ttl_ms = match lookup {
            Lookup::Found(_) => self.ttl_ms,
            _ => self.negative_ttl_ms,
        };
        if link.is_listening { ttl_ms } else { ttl_ms.min(self.unheard_ttl_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingest_core::message::device::{Device, Subscription};

    const AGES: Ages = Ages { ttl_ms: 60, negative_ttl_ms: 10, unheard_ttl_ms: 5, max_staleness_ms: 900 };
    const LINKED: RegistryLink = RegistryLink { is_reachable: true, is_listening: true };
    const UNHEARD: RegistryLink = RegistryLink { is_reachable: true, is_listening: false };
    const AWAY: RegistryLink = RegistryLink { is_reachable: false, is_listening: false };

    fn answer(lookup: Lookup) -> Answer {
        Answer { lookup, routes: Default::default(), tenant_is_registered: false, is_final: true }
    }

    fn found(key: &DeviceKey) -> Answer {
        answer(Lookup::Found(Arc::new(Device {
            key: key.clone(),
            site_id: "site".to_owned(),
            active: true,
            subscription: Subscription::Passes,
            token_hash: None,
            certificates: Vec::new(),
            metric_keys: Default::default(),
            location_is_auto: true,
            sensor_limit: 20,
        })))
    }

    fn device(id: &str) -> DeviceRef<'_> {
        DeviceRef { tenant_id: "t", device_id: id }
    }

    fn holding(answers: impl IntoIterator<Item = (DeviceKey, Answer)>) -> DeviceCache {
        let mut cache = DeviceCache::new(10, 1, AGES);
        answers.into_iter().for_each(|(key, answer)| cache.insert(key, answer, 0));
        cache
    }

    #[test]
    fn an_answer_serves_for_its_ttl_and_longer_while_nobody_can_be_asked() {
        let key = DeviceKey::new("t", "d");
        let cache = holding([(key.clone(), found(&key)), (DeviceKey::new("t", "u"), answer(Lookup::Unknown))]);
        let serves = |id, ms, link| cache.get(device(id), true, ms, link).is_some();
        assert_eq!([serves("d", 59, LINKED), serves("d", 60, LINKED)], [true, false]);
        assert_eq!([serves("u", 9, LINKED), serves("u", 10, LINKED)], [true, false]);
        assert_eq!([serves("d", 4, UNHEARD), serves("d", 5, UNHEARD)], [true, false]);
        assert_eq!([serves("d", 899, AWAY), serves("d", 900, AWAY)], [true, false]);
    }

    #[test]
    fn what_was_asked_without_a_site_is_no_answer_for_a_message_that_claims_one() {
        let provisional = Answer { is_final: false, ..answer(Lookup::Unknown) };
        let cache = holding([(DeviceKey::new("t", "d"), provisional)]);
        assert!(cache.get(device("d"), false, 0, LINKED).is_some());
        assert!(cache.get(device("d"), true, 0, LINKED).is_none());
    }

    #[test]
    fn what_is_forgotten_is_asked_again() {
        let key = DeviceKey::new("t", "d");
        let mut cache = holding([(key.clone(), found(&key)), (DeviceKey::new("t", "u"), answer(Lookup::Unknown))]);
        cache.forget_tenant(&"other".into());
        assert_eq!(cache.len(), 2);
        cache.forget(&key);
        assert_eq!(cache.len(), 1);
        cache.forget_tenant(&"t".into());
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_device_is_registered_or_not_but_never_both() {
        let key = DeviceKey::new("t", "d");
        let cache = holding([(key.clone(), answer(Lookup::Unknown)), (key.clone(), found(&key))]);
        assert_eq!(cache.len(), 1);
        let cache = holding([(key.clone(), found(&key)), (key.clone(), answer(Lookup::Unknown))]);
        assert!(matches!(cache.get(device("d"), true, 0, LINKED).unwrap().lookup, Lookup::Unknown));
    }

    #[test]
    fn a_flood_of_strangers_is_bounded_in_bytes_and_pushes_out_no_device() {
        let mut cache = DeviceCache::new(100, 1, AGES);
        let devices: Vec<DeviceKey> = (0..50).map(|i| DeviceKey::new("t", &format!("d{i}"))).collect();
        devices.iter().for_each(|key| cache.insert(key.clone(), found(key), 0));
        for i in 0..20_000 {
            let key = DeviceKey::new(&format!("{i}{}", "x".repeat(250)), &"é".repeat(255));
            cache.insert(key, answer(Lookup::Unknown), 0);
        }
        let (of_devices, of_strangers) = cache.weight();
        assert!(of_devices <= 100 * 512 && of_strangers <= 4_200_000, "{of_devices} {of_strangers}");
        assert!(cache.len() < 10_050);
        assert!(devices.iter().all(|key| cache.get(device(&key.device_id), true, 0, LINKED).is_some()));
    }

    #[test]
    fn devices_are_bounded_in_bytes_and_in_number() {
        let mut cache = DeviceCache::new(100, 1, AGES);
        for i in 0..1_000 {
            let key = DeviceKey::new("t", &format!("{i}"));
            cache.insert(key.clone(), found(&key), 0);
        }
        assert!(cache.len() <= 100, "{}", cache.len());
        for i in 0..1_000 {
            let key = DeviceKey::new(&"x".repeat(2_000), &format!("{i}"));
            cache.insert(key.clone(), found(&key), 0);
        }
        assert!(cache.weight().0 <= 100 * 512);
    }
}
