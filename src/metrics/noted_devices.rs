//! The devices that missing readings are about, a few of each: those of which numbers went missing lately, and those that fell
//! silent last. They are shown, and are no labels: a metric for each device would grow with the fleet.

use std::time::{Duration, Instant};

use ingest_core::message::device::DeviceKey;
use ingest_core::state::continuity::Found;

/// Devices in each list.
pub(crate) const MOST_DEVICES: usize = 10;
/// A device is listed for so long after numbers of it went missing.
const LISTED: Duration = Duration::from_secs(3_600);

/// A device of which numbers are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGap {
    /// Which device.
    pub key: DeviceKey,
    /// Numbers that are missing of it, as its record has them.
    pub missing: u64,
    /// When this replica has last found that more of them went missing.
    pub found: Instant,
}

/// A device that is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentDevice {
    /// Which device.
    pub key: DeviceKey,
    /// Since when it counts as silent, Unix microseconds.
    pub silent_since_us: i64,
    /// Its latest message, Unix microseconds.
    pub last_seen_us: Option<i64>,
}

/// The devices of which numbers went missing within the last hour, those with most first.
#[derive(Debug, Default)]
pub(super) struct DeviceGaps(Vec<DeviceGap>);

impl DeviceGaps {
    /// What was found of a device of which so many numbers are missing now.
    pub(super) fn note(&mut self, key: &DeviceKey, found: Found, missing: u64, now: Instant) {
        let before = self.0.iter().position(|gap| gap.key == *key).map(|place| self.0.remove(place).found);
        let last = if found.missing > 0 { Some(now) } else { before };
        if let Some(last) = last.filter(|_| missing > 0) {
            self.0.retain(|gap| is_listed(gap, now));
            let place = self.0.partition_point(|gap| gap.missing >= missing);
            if place < MOST_DEVICES {
                self.0.insert(place, DeviceGap { key: key.clone(), missing, found: last });
                self.0.truncate(MOST_DEVICES);
            }
        }
    }

    /// Those that are listed now.
    pub(super) fn read(&self, now: Instant) -> Vec<DeviceGap> {
        self.0.iter().filter(|gap| is_listed(gap, now)).cloned().collect()
    }
}

fn is_listed(gap: &DeviceGap, now: Instant) -> bool {
    now.saturating_duration_since(gap.found) < LISTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_with_most_missing_numbers_are_listed_for_an_hour_after_their_last_gap() {
        let (mut gaps, start) = (DeviceGaps::default(), Instant::now());
        let lost = Found { missing: 1, ..Found::default() };
        let key = |number: u64| DeviceKey::new("acme", &format!("dev-{number}"));
        for number in 1..=30 {
            gaps.note(&key(number), lost, number, start);
        }
        let listed = |gaps: &DeviceGaps, now| gaps.read(now).iter().map(|gap| gap.missing).collect::<Vec<_>>();
        assert_eq!(listed(&gaps, start), (21..=30).rev().collect::<Vec<_>>());
        let later = start + LISTED / 2;
        gaps.note(&key(21), lost, 50, later);
        // What came late is missing no more, and makes no gap.
        let late = Found { late: 2, ..Found::default() };
        gaps.note(&key(30), late, 28, later);
        gaps.note(&key(29), late, 0, later);
        gaps.note(&key(1), late, 1_000, later);
        assert_eq!(listed(&gaps, later), [50, 28, 28, 27, 26, 25, 24, 23, 22]);
        assert_eq!(listed(&gaps, start + LISTED), [50]);
        gaps.note(&key(7), lost, 7, start + LISTED);
        assert_eq!(gaps.0.len(), 2);
    }
}
