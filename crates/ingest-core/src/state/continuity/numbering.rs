//! The numbers of a device: which are missing, which came twice, when it began to count again.

use super::heard::{Heard, Run};
use super::ranges::{Ranges, overlap};

/// A jump that is longer than this is a counter that was set, and no gap.
const MAX_GAP: i64 = 1_000_000;
/// Messages may overtake each other by as many numbers.
const REORDER: i64 = 16;
/// A number up to this is one of a counter that has just begun.
const START: i64 = 4;
/// So is one in the first of as many parts of the way.
const START_SHARE: i64 = 16;

/// What a step of one weighs, and all of them at most; a jump weighs one. A device counts by one while a ninth of its new
/// numbers follow the one before: of others (seconds, a clock) the numbers say nothing.
const STEP: u8 = 8;
const MOST_STEPS: u8 = 32;
const LEAST_STEPS: u8 = 4;

/// Where a device is in its numbers. Numbers are of all of its messages together, heartbeats included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// The lowest number that is known of; 0: none yet.
    pub first: i64,
    /// The highest.
    pub last: i64,
    /// Numbers between these two that did not come yet.
    pub missing_ranges: Ranges,
    /// Up to here missing numbers are counted as such.
    pub counted_to: i64,
    /// Up to here they will be, when it is long enough after `marked_us`, the moment at which this was the highest number.
    pub mark: i64,
    /// Unix microseconds of the clock by which it is long enough.
    pub marked_us: i64,
    /// How far it counts by one: see [`Numbering::counts`].
    pub steps: u8,
    /// Numbers that are missing, of all that were counted.
    pub missing: i64,
    /// Numbers that were counted as missing and came later.
    pub late: i64,
    /// Readings with a number that had come before.
    pub repeats: i64,
    /// How often it began to count again.
    pub resets: i64,
    /// When it did last: the broker's time of the message, Unix microseconds.
    pub reset_us: Option<i64>,
}

impl Numbering {
    /// Whether the device counts by one. Where it does not, nothing is missing and nothing is repeated.
    pub fn counts(&self) -> bool {
        self.steps >= LEAST_STEPS
    }

    /// Adds what was heard. `newest_us`: the broker's time of the newest message before.
    pub(super) fn hear(&mut self, heard: &Heard, newest_us: Option<i64>) {
        let mut newest_us = newest_us.unwrap_or(i64::MIN);
        let runs = heard.runs();
        if heard.is_cut {
            if let Some(run) = runs.last().filter(|run| run.last > self.last) {
                self.rebase(run.last);
            }
            return;
        }
        for run in runs {
            self.run(&run, newest_us);
            newest_us = newest_us.max(run.came_us.1);
        }
    }

    /// Counts what has been missing for `after_us`, by a clock that all replicas share.
    pub(super) fn count_missing(&mut self, now_us: i64, after_us: i64) {
        if now_us.saturating_sub(self.marked_us) < after_us {
            return;
        }
        self.missing += self.missing_ranges.count(self.counted_to, self.mark);
        (self.counted_to, self.mark, self.marked_us) = (self.counted_to.max(self.mark), self.last, now_us);
    }

    fn run(&mut self, run: &Run, newest_us: i64) {
        if self.reset_us.is_some_and(|reset_us| run.came_us.0 < reset_us) {
            // Of the count before.
            return;
        }
        let is_later = run.is_new && run.came_us.0 >= newest_us;
        for number in run.first..=run.last {
            if self.follows(number) {
                // And so do all that are left of the run.
                self.stepped(run.last - self.last);
                self.last = run.last;
                break;
            }
            self.number(number, run, is_later);
        }
        if run.times > 1 && run.is_new && run.is_reading && self.counts() {
            self.repeats += i64::from(run.times - 1);
        }
    }

    fn follows(&self, number: i64) -> bool {
        self.first > 0 && self.last.checked_add(1) == Some(number)
    }

    /// A number that does not follow the highest one.
    fn number(&mut self, number: i64, run: &Run, is_later: bool) {
        if self.first == 0 {
            self.rebase(number);
        } else if number > self.last {
            self.jump(number, run, is_later);
        } else if !self.fill(number) {
            self.known(number, run, is_later);
        }
    }

    fn stepped(&mut self, steps: i64) {
        let steps = u8::try_from(steps).unwrap_or(MOST_STEPS).saturating_mul(STEP);
        self.steps = self.steps.saturating_add(steps).min(MOST_STEPS);
    }

    fn jump(&mut self, number: i64, run: &Run, is_later: bool) {
        let counts = self.counts();
        self.steps = self.steps.saturating_sub(1);
        if !counts {
            self.rebase(number);
        } else if number - self.last > MAX_GAP {
            if is_later {
                self.restart(number, run);
            }
        } else {
            let (first, last) = (self.last + 1, number - 1);
            self.last = number;
            let dropped = self.missing_ranges.push(first, last);
            self.forget(dropped);
        }
    }

    /// Fills a gap with a number; whether it was missing.
    fn fill(&mut self, number: i64) -> bool {
        let (was_missing, dropped) = self.missing_ranges.remove(number);
        self.forget(dropped);
        if was_missing {
            self.stepped(1);
            let was_counted = i64::from(number <= self.counted_to);
            self.missing -= was_counted;
            self.late += was_counted;
        }
        was_missing
    }

    /// A number up to the highest one, of a message that came before, or of another one.
    fn known(&mut self, number: i64, run: &Run, is_later: bool) {
        if !run.is_new {
            return;
        }
        let distance = self.last - number;
        if !self.counts() {
            if is_later && distance > REORDER {
                self.rebase(number);
            }
            return;
        }
        let is_start = distance > REORDER && number <= START.max(self.last / START_SHARE);
        let has_come = number >= self.first;
        if is_later && (is_start || has_come && number == 1 && distance > 0) {
            return self.restart(number, run);
        }
        // A long row of them is another way of counting.
        self.steps = self.steps.saturating_sub(1);
        if has_come && run.is_reading {
            self.repeats += 1;
        }
    }

    /// A range that finds no room is counted, and nothing below it is known any more.
    fn forget(&mut self, dropped: Option<(i64, i64)>) {
        if let Some(range) = dropped {
            self.missing += overlap(range, self.counted_to, i64::MAX);
            self.first = range.1.saturating_add(1);
        }
    }

    fn restart(&mut self, number: i64, run: &Run) {
        self.rebase(number);
        self.resets += 1;
        self.reset_us = Some(run.came_us.0);
    }

    /// Begins at a number: of what was missing and not counted yet nobody knows any more.
    fn rebase(&mut self, number: i64) {
        (self.first, self.last, self.counted_to, self.mark) = (number, number, number, number);
        self.missing_ranges.clear();
    }
}
