//! The tree: built bottom-up from one list of factories, watched, rebuilt after a death, drained top-down.

pub(crate) mod child;
pub(crate) mod environment;
mod generation;
pub(crate) mod root;
mod watch;

use serde::{Deserialize, Serialize};

/// The `[supervisor]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// `DRAIN_TIMEOUT_SECONDS`: under Kubernetes' grace period of 30.
    pub drain_timeout_secs: u64,
    /// `LOG_STATS_EVERY_SECONDS`.
    pub log_stats_every_secs: u64,
    /// Restarts allowed within `restart_window_secs` before the process gives up with 70.
    pub restart_budget: u32,
    /// See `restart_budget`.
    pub restart_window_secs: u64,
    /// A child that has work and makes no progress for so long is dead, and so is a thread that does not turn. Longer than
    /// any bound on one attempt.
    pub stuck_after_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drain_timeout_secs: 25,
            log_stats_every_secs: 30,
            restart_budget: 8,
            restart_window_secs: 300,
            stuck_after_secs: 90,
        }
    }
}

/// Seconds kept back of the drain's time for giving back what could not be finished.
const RELEASE_RESERVE_SECS: u64 = 2;

impl Config {
    /// The longest that anybody may wait on purpose for something that is away: a drain has to see the end of it.
    pub(crate) fn longest_wait_secs(&self) -> u64 {
        self.drain_timeout_secs.saturating_sub(RELEASE_RESERVE_SECS).max(1)
    }
}
