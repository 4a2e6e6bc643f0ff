//! Validation: a pool of actors, a device always on the same one, so that caches and token buckets need no lock.

mod buckets;
mod cache;
mod chunk_metrics;
mod deferred;
mod inquiry;
mod validator;

pub(crate) use self::validator::{Parts, Validator};

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[validate]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// `INGEST_WORKER_COUNT`: validators, each with a thread. Two validate more than one PostgreSQL can store.
    pub workers: usize,
    /// `AUTH_CACHE_TTL_SECONDS`: how long a registry answer is trusted without asking again. Changes are notified at once.
    pub cache_ttl_secs: u64,
    /// `AUTH_CACHE_MAX_SIZE`: devices held, over all validators.
    pub cache_max_size: usize,
    /// `METRIC_MAP_CACHE_TTL`: the same for the modules' key maps. They are held with their device: the shorter one counts.
    pub metric_map_ttl_secs: u64,
    /// How long an unknown device stays unknown without asking again.
    pub negative_ttl_secs: u64,
    /// While PostgreSQL is away, answers serve up to this age; then deliveries are held.
    pub max_staleness_secs: u64,
    /// `BUCKET_TTL_SECONDS`: a device's token bucket is forgotten when it has been idle for so long.
    pub bucket_ttl_secs: u64,
    /// `REQUIRE_TOKEN`.
    pub require_token: bool,
    /// `CERT_AUTH_ENABLED`.
    pub cert_auth_enabled: bool,
    /// `NATS_SUBJECT_CHECK`.
    pub subject_check: SubjectCheck,
}

/// Whether the subject that a message was published to must name the tenant, and the device if any, of its topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SubjectCheck {
    /// It must: a publisher speaks for the tenants alone that the broker's permissions let it publish to.
    #[default]
    Enforce,
    /// Any subject will do: whoever may publish at all speaks for every tenant.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 2,
            cache_ttl_secs: 60,
            cache_max_size: 200_000,
            metric_map_ttl_secs: 300,
            negative_ttl_secs: 10,
            max_staleness_secs: 900,
            bucket_ttl_secs: 3600,
            require_token: true,
            cert_auth_enabled: false,
            subject_check: SubjectCheck::Enforce,
        }
    }
}

impl Config {
    /// How long a cached device, with its key map, is trusted without asking again.
    pub(crate) fn entry_ttl(&self) -> Duration {
        Duration::from_secs(self.cache_ttl_secs.min(self.metric_map_ttl_secs))
    }
}
