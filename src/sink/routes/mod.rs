//! Route jobs: one JetStream message each, for the service that delivers them.

mod backlog;
mod budget;
mod classify;
mod message;
mod publisher;
mod stream;
#[cfg(test)]
mod testing;

pub use self::publisher::{Parts, Publisher};

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[routes]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long one acknowledgement of the stream is waited for: a broker that works answers in milliseconds.
    pub publish_timeout_secs: u64,
    /// Most jobs under way at once: enough to hide the round trip, few enough to be written within the timeout. Large ones
    /// are fewer: their bodies are bounded too.
    pub max_in_flight: usize,
    /// How long a job is tried before its delivery is handed back; under the drain's time, so that a drain meets no
    /// delivery that waits for longer.
    pub retry_secs: u64,
    /// Most deliveries held while the stream does not take their jobs: a part of a lane's window, so that deliveries
    /// without jobs still find room. Beyond it they are handed back at once.
    pub hold_deliveries: usize,
    /// `duplicate_window` of the stream, where the node creates it: within it a redelivered message makes no second
    /// job. Longer than a delivery is held and handed back once; the broker keeps each job's id in memory so long.
    pub duplicate_window_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            publish_timeout_secs: 3,
            max_in_flight: 1_000,
            retry_secs: 10,
            hold_deliveries: 5_000,
            duplicate_window_secs: 600,
        }
    }
}

impl Config {
    fn publish_timeout(&self) -> Duration {
        Duration::from_secs(self.publish_timeout_secs)
    }

    fn duplicate_window(&self) -> Duration {
        Duration::from_secs(self.duplicate_window_secs)
    }
}
