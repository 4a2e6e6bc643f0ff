//! Derived state, written behind: sensors with their last values, signs of life, positions. A crash loses at most what
//! was heard since the last flush, never a row; the next message of the device brings it up to date again.

mod settled;
mod statement;
mod store;
mod writer;

pub use super::state::writer::{DerivedStateWriter, Parts};

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[state]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The derived state is this old at most while the load is moderate: fresh enough for a person who looks at it.
    pub flush_interval_secs: u64,
    /// With many devices the interval grows, up to this, so that flushing keeps to its share.
    pub flush_interval_max_secs: u64,
    /// Most of its time that flushing may take, in percent of one connection: rows come first.
    pub share_percent: u64,
    /// Bound on writing one chunk; longer than a healthy server ever takes, shorter than a stuck child is suffered.
    pub write_timeout_secs: u64,
    /// Most devices held while PostgreSQL does not answer; beyond, the longest silent are forgotten. About a kilobyte each.
    pub max_devices: usize,
    /// Sets of metrics (one per device as a rule) whose sensors are known to exist.
    pub settled_max_size: usize,
    /// How long they are believed to: after this time sensors that somebody removed come back, and those that found no
    /// room are tried again.
    pub settled_ttl_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flush_interval_secs: 3,
            flush_interval_max_secs: 30,
            share_percent: 10,
            write_timeout_secs: 20,
            max_devices: 100_000,
            settled_max_size: 200_000,
            settled_ttl_secs: 600,
        }
    }
}

impl Config {
    /// How long to wait after a flush that took `took`.
    fn pause_after(&self, took: Duration) -> Duration {
        let share = self.share_percent.clamp(1, 100) as u32;
        let rest = took * (100 - share) / share;
        let most = Duration::from_secs(self.flush_interval_max_secs);
        rest.min(most).max(Duration::from_secs(self.flush_interval_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_keeps_flushing_to_its_share() {
        let config = Config::default();
        let pause_after = |took_ms| config.pause_after(Duration::from_millis(took_ms)).as_millis();
        assert_eq!(pause_after(5), 3_000);
        assert_eq!(pause_after(1_000), 9_000);
        assert_eq!(pause_after(60_000), 30_000);
    }
}
