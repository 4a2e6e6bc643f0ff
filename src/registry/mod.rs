//! The device registry: batched look-ups, invalidation by notification, and the run-time settings.

mod actor;
mod availability;
mod bisect;
mod fault;
mod listen;
mod lookup;
mod provision;
mod query;
mod resolve;
mod routes;
mod settings;
mod tenants;

pub use self::actor::{Parts, Registry};
pub use self::query::replay_key;

use serde::{Deserialize, Serialize};

/// The `[registry]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `AUTO_PROVISION`: register unknown devices where an ACTIVE MAIN subscription has room.
    pub auto_provision: bool,
    /// `SETTINGS_POLL_SECONDS`: `app_settings` are read this often, and at once when notified.
    pub settings_poll_secs: u64,
    /// Most devices in one look-up.
    pub lookup_batch: usize,
    /// Most routes of a tenant that are in force: its messages times its routes are work for everybody.
    pub max_routes_per_tenant: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { auto_provision: false, settings_poll_secs: 5, lookup_batch: 2_000, max_routes_per_tenant: 1_000 }
    }
}
