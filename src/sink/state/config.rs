//! The `[state]` table.

use std::time::Duration;

use crate::runtime::setting::settings;
use ingest_core::state::continuity::{Limits, Rules};

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
        /// A number (`seq`) that has not come for so long counts as missing; never sooner than after the longest interval.
        ///
        /// Longer than messages overtake each other, and than replicas take to write what they heard.
        missing_after_secs: i64 = 60, whole(1, 86_400);
    }
    and {
        /// Devices that fall silent.
        silence: Silence,
    }
}

settings! {
    /// The `[state.silence]` table.
    pub struct Silence in "state.silence" {
        /// Whether devices that fall silent are marked, and alerts published to `alerts.{tenant}`.
        enabled: bool = true, Flag, "DEVICE_SILENCE";
        /// A device is silent after so many of its usual intervals without a message.
        factor: i64 = 5, whole(2, 1_000), "DEVICE_SILENCE_FACTOR";
        /// But never sooner.
        min_secs: i64 = 60, whole(1, 604_800), "DEVICE_SILENCE_MIN_SECONDS";
        /// And not later, unless twice its usual interval is longer.
        max_secs: i64 = 86_400, whole(1, 31_536_000), "DEVICE_SILENCE_MAX_SECONDS";
        /// How often is looked for silent devices.
        look_secs: u64 = 5, whole(1, 3_600);
        /// Alerts of single devices per tenant and minute; one alert speaks for all beyond them.
        ///
        /// Where a tenant's gateway is off, nobody reads a thousand alerts.
        alerts_per_minute: usize = 30, whole(1, 100_000);
    }
}

impl Config {
    /// By what devices are assessed.
    pub(super) fn rules(&self) -> Rules {
        let Silence { factor, min_secs, max_secs, .. } = self.silence;
        let limits = Limits { factor, least_us: min_secs * 1_000_000, most_us: max_secs * 1_000_000 };
        let missing_after_secs = self.missing_after_secs.max(self.flush_interval_max_secs as i64);
        Rules { limits, missing_after_us: missing_after_secs * 1_000_000 }
    }

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
