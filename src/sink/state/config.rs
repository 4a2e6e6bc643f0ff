//! The `[state]` table.

use std::time::Duration;

use crate::runtime::setting::settings;

settings! {
    /// The `[state]` table.
    pub struct Config in "state" {
        /// Sensors, last seen and positions are written this often, or less often with many devices.
        ///
        /// The derived state is this old at most while the load is moderate: fresh enough for a person who
        /// looks at it.
        flush_interval_secs: u64 = 3, whole(1, 3_600);
        /// How far the interval may grow, so that writing them keeps to its share.
        flush_interval_max_secs: u64 = 30, whole(1, 3_600);
        /// Most of one connection's time that writing them takes, in percent.
        share_percent: u64 = 10, whole(1, 100);
        /// Bound on writing one chunk of devices.
        ///
        /// Longer than a healthy server ever takes, shorter than `supervisor.stuck_after_secs`.
        write_timeout_secs: u64 = 20, whole(1, 600);
        /// Most devices held while PostgreSQL does not answer.
        max_devices: usize = 100_000, whole(1, 100_000_000);
        /// Sets of metrics (one per device as a rule) whose sensors are known to exist.
        settled_max_size: usize = 200_000, whole(1, 100_000_000);
        /// How long they are believed to; then removed sensors come back, and those without room are tried
        /// again.
        settled_ttl_secs: u64 = 600, whole(1, 86_400);
    }
}

impl Config {
    /// How long to wait after a flush that took `took`.
    pub(super) fn pause_after(&self, took: Duration) -> Duration {
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
