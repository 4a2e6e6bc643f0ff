//! The `[gateway]` table: what all ways in share.

use std::time::Duration;

use crate::runtime::setting::settings;

settings! {
    /// The `[gateway]` table.
    pub(crate) struct Config in "gateway" {
        /// Most messages on their way into JetStream at once, over all ways in: without room HTTP answers 503. A broker is read
        /// no further when its messages fill half of it.
        window: usize = 4_096, whole(1, 1_000_000);
        /// The same in bytes.
        window_bytes: usize = 16 * 1024 * 1024, whole(1_048_576, i64::MAX);
        /// How long a stream's acknowledgement of a message is waited for.
        publish_timeout_secs: u64 = 5, whole(1, 60);
    }
}

impl Config {
    /// The bound on a stream's acknowledgement.
    pub(crate) fn publish_timeout(&self) -> Duration {
        Duration::from_secs(self.publish_timeout_secs)
    }
}
