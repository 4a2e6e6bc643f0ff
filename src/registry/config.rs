//! The `[registry]` table.

use crate::runtime::setting::settings;

settings! {
    /// The `[registry]` table.
    pub struct Config in "registry" {
        /// Register unknown devices where an ACTIVE MAIN subscription has room.
        auto_provision: bool = false, Flag, "AUTO_PROVISION";
        /// `app_settings` are read this often, and at once when notified.
        settings_poll_secs: u64 = 5, whole(1, 86_400), "SETTINGS_POLL_SECONDS";
        /// Most devices in one look-up.
        lookup_batch: usize = 2_000, whole(1, 100_000);
        /// Most enabled routes of a tenant that are in force, the oldest first; the rest is left out and said.
        max_routes_per_tenant: usize = 1_000, whole(1, 100_000);
    }
}
