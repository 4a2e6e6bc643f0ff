//! Metrics of the device registry and its caches.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::exposition::Exposition;
use super::label::{LookupResult, Per};

/// Device look-ups and their caches.
#[derive(Clone, Debug)]
pub struct RegistryMetrics {
    /// `ingest_registry_cache_hits_total`: messages whose device was known.
    pub cache_hits: Counter,
    /// `ingest_registry_cache_misses_total`: messages that waited for a look-up.
    pub cache_misses: Counter,
    /// `ingest_registry_cache_entries`: devices held over all validators; each adds and subtracts its own.
    pub cache_entries: Gauge,
    /// `ingest_registry_lookups_total{result}`: devices looked up.
    pub lookups: Per<LookupResult, Counter>,
    /// `ingest_registry_lookup_seconds`: one batch of look-ups.
    pub lookup_seconds: Histogram,
    /// `ingest_registry_invalidations_total`: notifications of changed devices, tenants or settings.
    pub invalidations: Counter,
    /// `ingest_registry_listening`: 1 while change notifications arrive (LISTEN/NOTIFY).
    pub listening: Gauge,
    /// `ingest_registry_provisioned_total`: devices registered by auto-provisioning.
    pub provisioned: Counter,
}

impl RegistryMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            cache_hits: exposition.default("registry_cache_hits", "Messages whose device was known"),
            cache_misses: exposition.default("registry_cache_misses", "Messages that waited for a look-up"),
            cache_entries: exposition.default("registry_cache_entries", "Devices held in memory"),
            lookups: exposition.default("registry_lookups", "Devices looked up"),
            lookup_seconds: exposition.seconds("registry_lookup_seconds", "One batch of look-ups"),
            invalidations: exposition
                .default("registry_invalidations", "Notified changes of devices, tenants, settings"),
            listening: exposition.default("registry_listening", "1 while changes are heard of as they happen"),
            provisioned: exposition.default("registry_provisioned", "Devices registered by auto-provisioning"),
        }
    }
}
