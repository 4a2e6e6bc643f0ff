//! The `[admin]` table.

use std::net::SocketAddr;

use crate::runtime::secret::Secret;
use crate::runtime::setting::settings;

settings! {
    /// The `[admin]` table.
    pub(crate) struct Config in "admin" {
        /// Where administration (the provisioning API) is served, where a key is set; port 0 takes a free one. It speaks plain
        /// HTTP: other machines should reach it through TLS only.
        bind: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8081)), Address, "ADMIN_BIND";
        /// What administrators send as `X-Admin-Key`: at least 32 characters. Without one there is no admin listener.
        key: Secret = Secret::default(), Secret, "ADMIN_KEY";
        /// How long the activation code of a device works, in minutes.
        activation_ttl_minutes: u32 = 60, whole(1, 43_200), "ACTIVATION_TTL_MINUTES";
    }
}
