//! The `[routes]` table.

use std::time::Duration;

use crate::runtime::setting::settings;

settings! {
    /// The `[routes]` table.
    pub struct Config in "routes" {
        /// How long the stream's word on one route job is waited for.
        ///
        /// A broker that works answers in milliseconds.
        publish_timeout_secs: u64 = 3, whole(1, 60);
        /// Route jobs under way at once.
        ///
        /// Enough to hide the round trip, few enough to be written within the timeout. Large ones are fewer:
        /// their bodies are bounded too.
        max_in_flight: usize = 1_000, whole(1, 100_000);
        /// How long a job is tried before its delivery is handed back.
        ///
        /// Less than the drain's time, so that a drain meets no delivery that waits for longer.
        retry_secs: u64 = 10, whole(1, 600);
        /// Most deliveries held while the stream does not take their jobs; beyond it they are handed back at
        /// once.
        ///
        /// A part of a lane's window, so that deliveries without jobs still find room.
        hold_deliveries: usize = 5_000, whole(0, 1_000_000);
        /// For the stream ROUTES, where the node creates it: a message redelivered within this time makes no
        /// second job.
        ///
        /// Longer than a delivery is held and handed back once; the broker keeps each job's id in memory so
        /// long.
        duplicate_window_secs: u64 = 600, whole(1, 86_400);
        /// For the stream ROUTES, where the node creates it: most bytes; 0 = no limit.
        ///
        /// Where nobody fetches jobs the stream is full at some point, before it fills the disk that the telemetry
        /// needs: then it takes no more, and the deliveries wait. Nothing that it has taken is dropped.
        stream_max_bytes: i64 = 536_870_912, whole(0, i64::MAX);
    }
}

impl Config {
    pub(super) fn publish_timeout(&self) -> Duration {
        Duration::from_secs(self.publish_timeout_secs)
    }

    pub(super) fn duplicate_window(&self) -> Duration {
        Duration::from_secs(self.duplicate_window_secs)
    }

    /// As NATS has it.
    pub(super) fn stream_max_bytes(&self) -> i64 {
        if self.stream_max_bytes == 0 { -1 } else { self.stream_max_bytes }
    }
}
