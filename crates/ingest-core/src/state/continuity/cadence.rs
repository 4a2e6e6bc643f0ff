//! How often a device usually sends.

/// Intervals after which it is known.
const ENOUGH: u32 = 8;
/// A longer interval moves the usual one by a quarter of the way, a shorter one by so many parts less: of devices that send
/// in bursts it is the time between bursts.
const RISE: i64 = 4;
const FALL: i64 = 64;
/// An interval counts as at most so many usual ones, or as so many times this least one: it was an outage.
const MOST_TIMES: i64 = 4;
const LEAST_US: i64 = 10_000_000;

/// A running estimate of the longer ones of a device's intervals, by the broker's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// The usual interval in microseconds; 0: none was seen.
    pub usual_us: i64,
    /// How many intervals were seen, as far as it matters.
    pub intervals: u32,
}

impl Cadence {
    /// The usual interval in microseconds, once it is known.
    pub fn usual_us(&self) -> Option<i64> {
        (self.intervals >= ENOUGH).then_some(self.usual_us)
    }

    /// Adds intervals, of which only the longest is known.
    pub(super) fn observe(&mut self, longest_us: i64, intervals: u32) {
        if intervals == 0 {
            return;
        }
        if self.intervals < ENOUGH {
            self.usual_us = self.usual_us.max(longest_us);
        } else if longest_us > self.usual_us {
            let longest_us = longest_us.min(self.usual_us.max(LEAST_US).saturating_mul(MOST_TIMES));
            self.usual_us += (longest_us - self.usual_us) / RISE;
        } else {
            self.usual_us -= (self.usual_us - longest_us) / FALL * i64::from(intervals).min(FALL);
        }
        self.intervals = self.intervals.saturating_add(intervals).min(ENOUGH);
    }
}
