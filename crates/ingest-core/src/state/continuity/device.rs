//! All of it, of one device.

use super::cadence::Cadence;
use super::heard::Heard;
use super::numbering::Numbering;
use super::silence::{Limits, Silence};

/// By what devices are assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// After how long a device is silent.
    pub limits: Limits,
    /// After how long a number that did not come is missing, in microseconds.
    pub missing_after_us: i64,
}

/// What is on record of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continuity {
    /// When its latest message came: the broker's time, Unix microseconds.
    pub last_seen_us: Option<i64>,
    /// Its numbers.
    pub numbering: Numbering,
    /// How often it sends.
    pub cadence: Cadence,
    /// Whether it is silent.
    pub silence: Silence,
}

/// What has come to light with what was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Numbers that are missing.
    pub missing: u64,
    /// Numbers that were counted as missing, and came.
    pub late: u64,
    /// Readings with a number that had come before.
    pub repeats: u64,
    /// How often devices began to count again.
    pub resets: u64,
}

impl Continuity {
    /// Adds what was heard; `now_us` is the moment by a clock that all replicas share.
    pub fn hear(&mut self, heard: &Heard, now_us: i64, rules: &Rules) -> Found {
        let Some(last_us) = heard.last_us() else { return Found::default() };
        let before = self.numbering.clone();
        self.numbering.hear(heard, self.last_seen_us);
        self.numbering.count_missing(now_us, rules.missing_after_us);

        let (longest_us, intervals) = heard.intervals(self.last_seen_us);
        self.cadence.observe(longest_us, intervals);
        if self.last_seen_us.is_none_or(|before| before < last_us) {
            self.last_seen_us = Some(last_us);
            self.silence.hear(last_us, self.cadence, &rules.limits);
        }
        Found::between(&before, &self.numbering)
    }
}

impl Found {
    fn between(before: &Numbering, after: &Numbering) -> Self {
        let late = after.late - before.late;
        let more = |after: i64, before: i64| u64::try_from(after - before).unwrap_or(0);
        Self {
            missing: more(after.missing + late, before.missing),
            late: more(after.late, before.late),
            repeats: more(after.repeats, before.repeats),
            resets: more(after.resets, before.resets),
        }
    }

    /// Whether there is anything.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

impl std::ops::AddAssign for Found {
    fn add_assign(&mut self, more: Self) {
        self.missing += more.missing;
        self.late += more.late;
        self.repeats += more.repeats;
        self.resets += more.resets;
    }
}
