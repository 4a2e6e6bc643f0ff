//! What the gate knows: answers of the registry and token buckets, in shards, so that the workers of a way in rarely meet.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::delivery::Lane;
use crate::message::Answer;
use crate::registry::devices::{Ages, Buckets, DeviceCache, RegistryLink};
use ingest_core::flow::rate_limit::Limit;
use ingest_core::message::device::{DeviceKey, DeviceRef, Lookup};
use ingest_core::validate::settings::Settings;

/// Shards: several times the workers that there may be.
const SHARDS: usize = 32;

/// Shared by the door's workers and the gate.
pub(super) struct Known {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    settings: RwLock<Option<Arc<Settings>>>,
    is_reachable: AtomicBool,
    is_listening: AtomicBool,
    /// Settings have come, or it shows that they will not soon.
    changed: Notify,
    started: Instant,
}

struct Shard {
    cache: DeviceCache,
    buckets: Buckets,
}

impl Known {
    /// Nothing yet; space for so many devices.
    pub(super) fn new(capacity: usize, ages: Ages) -> Self {
        let shard =
            |_| Mutex::new(Shard { cache: DeviceCache::new(capacity, SHARDS, ages), buckets: Buckets::default() });
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            hasher: RandomState::new(),
            settings: RwLock::new(None),
            is_reachable: AtomicBool::new(true),
            is_listening: AtomicBool::new(false),
            changed: Notify::new(),
            started: Instant::now(),
        }
    }

    fn shard(&self, device: DeviceRef<'_>) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(device) as usize % SHARDS]
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// What is known of a device, where that is still good.
    pub(super) fn lookup(&self, device: DeviceRef<'_>) -> Option<Lookup> {
        let link =
            RegistryLink { is_reachable: self.is_reachable(), is_listening: self.is_listening.load(Ordering::Relaxed) };
        let shard = self.shard(device).lock();
        // The gate asks in a message's name, and never provisions: every answer is final.
        shard.cache.get(device, true, self.now_ms(), link).map(|answer| answer.lookup.clone())
    }

    /// Takes a token from a device's bucket; `at_us` is the time of arrival.
    pub(super) fn admit(&self, lane: Lane, device: &DeviceKey, at_us: i64, limit: &Limit) -> bool {
        let shard = self.shard(DeviceRef { tenant_id: &device.tenant_id, device_id: &device.device_id });
        shard.lock().buckets.admit(lane, device, at_us, false, limit)
    }

    /// Remembers an answer.
    pub(super) fn insert(&self, key: DeviceKey, answer: Answer) {
        let shard = self.shard(DeviceRef { tenant_id: &key.tenant_id, device_id: &key.device_id });
        let now_ms = self.now_ms();
        shard.lock().cache.insert(key, answer, now_ms);
    }

    /// Forgets devices.
    pub(super) fn forget(&self, keys: &[DeviceKey]) {
        for key in keys {
            let shard = self.shard(DeviceRef { tenant_id: &key.tenant_id, device_id: &key.device_id });
            shard.lock().cache.forget(key);
        }
    }

    /// Forgets a tenant's devices.
    pub(super) fn forget_tenant(&self, tenant: &Arc<str>) {
        self.shards.iter().for_each(|shard| shard.lock().cache.forget_tenant(tenant));
    }

    /// Forgets every device.
    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| shard.lock().cache.clear());
    }

    /// Forgets buckets that have not been asked since `before_us`.
    pub(super) fn forget_idle_buckets(&self, before_us: i64) {
        self.shards.iter().for_each(|shard| shard.lock().buckets.forget_idle(before_us));
    }

    /// How many answers there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().cache.len()).sum()
    }

    /// The run-time settings in force; `None` before they have been read.
    pub(super) fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.read().clone()
    }

    /// The run-time settings, as soon as they have been read; `None` where PostgreSQL can't be asked for them.
    pub(super) async fn first_settings(&self) -> Option<Arc<Settings>> {
        loop {
            let changed = self.changed.notified();
            if let Some(settings) = self.settings() {
                return Some(settings);
            }
            if !self.is_reachable() {
                return None;
            }
            changed.await;
        }
    }

    /// Takes over run-time settings.
    pub(super) fn set_settings(&self, settings: Arc<Settings>) {
        *self.settings.write() = Some(settings);
        self.changed.notify_waiters();
    }

    /// Whether the registry can be asked.
    pub(super) fn is_reachable(&self) -> bool {
        self.is_reachable.load(Ordering::Relaxed)
    }

    /// Takes over whether the registry can be asked.
    pub(super) fn set_reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Takes over whether changes are heard of.
    pub(super) fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Relaxed);
    }
}
