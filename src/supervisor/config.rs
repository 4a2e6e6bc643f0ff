//! The `[supervisor]` table.

use crate::runtime::setting::settings;

/// Seconds of the drain's time reserved for releasing what could not be completed.
pub(super) const RELEASE_RESERVE_SECS: u64 = 2;

settings! {
    /// The `[supervisor]` table.
    pub(crate) struct Config in "supervisor" {
        /// Time after SIGTERM for what is in flight; under Kubernetes' grace period of 30.
        drain_timeout_secs: u64 = 25, whole(1, 3_600), "DRAIN_TIMEOUT_SECONDS";
        /// A line with totals this often.
        log_stats_every_secs: u64 = 30, whole(1, 86_400), "LOG_STATS_EVERY_SECONDS";
        /// Restarts within the window before the process gives up with 70.
        restart_budget: u32 = 8, whole(0, 1_000_000);
        /// See `restart_budget`.
        restart_window_secs: u64 = 300, whole(1, 86_400);
        /// An actor that has work and makes no progress for so long counts as exited.
        stuck_after_secs: u64 = 90, whole(1, 86_400);
    }
}

impl Config {
    /// Upper bound on intended waits for unreachable systems, in seconds: they end before the drain's deadline.
    pub(crate) fn longest_wait_secs(&self) -> u64 {
        self.drain_timeout_secs.saturating_sub(RELEASE_RESERVE_SECS).max(1)
    }
}
