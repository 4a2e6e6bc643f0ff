//! The `[postgres]` table.

use serde::{Deserialize, Serialize};

use crate::runtime::secret::Secret;

/// The `[postgres]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `DATABASE_URL`, or made of `PG_HOST PG_PORT PG_DB PG_USER PG_PASS`.
    pub url: Secret,
    /// `PG_POOL_MIN`: connections opened at start.
    pub pool_min: usize,
    /// `PG_POOL_MAX`: most connections: writers' transactions, look-ups, derived state.
    pub pool_max: usize,
    /// `BATCH_SIZE`: rows that make a batch full. Some thousand make COPY's fixed cost vanish.
    pub batch_size: usize,
    /// `FLUSH_INTERVAL_MS`: a batch never waits longer for its rows.
    pub flush_interval_ms: u64,
    /// Transactions in flight: one computes in PostgreSQL while another waits for its commit.
    pub writers: usize,
    /// Client-side bound on one transaction: a frozen server becomes a fault that passes.
    pub transaction_timeout_secs: u64,
    /// `AUTO_MIGRATE`: `run` migrates first.
    pub auto_migrate: bool,
    /// `COUNTERS_ENABLED`: keep `quarantine_counters_minute`.
    pub counters_enabled: bool,
    /// Most quarantine events stored per minute, tenant and reason (device, where no tenant is to blame); what is over the
    /// cap is counted only.
    pub quarantine_cap_per_minute: u32,
    /// How long `run` waits for PostgreSQL before it exits with 69.
    pub start_wait_secs: u64,
}

impl Config {
    /// Transactions in flight as the pool allows them: one connection is left to the look-ups.
    pub fn slots(&self) -> usize {
        self.writers.min(self.pool_max.saturating_sub(1)).max(1)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::new("postgres://iot@127.0.0.1:5432/iotcloud"),
            pool_min: 2,
            pool_max: 10,
            batch_size: 2_000,
            flush_interval_ms: 100,
            writers: 3,
            transaction_timeout_secs: 30,
            auto_migrate: false,
            counters_enabled: true,
            quarantine_cap_per_minute: 1_000,
            start_wait_secs: 60,
        }
    }
}
