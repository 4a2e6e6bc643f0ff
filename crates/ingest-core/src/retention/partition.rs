//! A partition of `raw_events` as the catalog has it, and what can be told from that.

use std::ops::Range;

/// A day in microseconds.
pub const DAY_US: i64 = 86_400_000_000;

/// How long after its end a partition counts as no longer written: clocks differ by less, and so is most of what is delivered late.
/// A row that comes later still is stored like any other.
pub const CLOSED_AFTER_US: i64 = 3_600_000_000;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The table's name.
    pub name: String,
    /// From where to where it reaches, Unix microseconds, without the end. None: the default partition.
    pub bounds: Option<Range<i64>>,
    /// Whether it is a table like those that the node makes: an ordinary one, in its parent's schema.
    pub is_ordinary: bool,
    /// Whether somebody has begun to detach it and has not finished.
    pub is_half_detached: bool,
}

impl Partition {
    /// The day that it holds rows of, as its first microsecond. None where it is not the node's: those of the node hold one day, UTC, or
    /// what other partitions left of it. The name says nothing, for names can be given to anything.
    pub fn day_us(&self) -> Option<i64> {
        let bounds = self.bounds.as_ref().filter(|_| self.is_ordinary && !self.is_half_detached)?;
        let day_us = day_of(bounds.start);
        let is_within_day = !bounds.is_empty() && bounds.end <= day_us.saturating_add(DAY_US);
        is_within_day.then_some(day_us)
    }

    /// Whether it is the node's, and nobody writes to it any more.
    pub fn is_closed(&self, now_us: i64) -> bool {
        let end_us = self.day_us().and(self.bounds.as_ref()).map(|bounds| bounds.end);
        end_us.is_some_and(|end_us| end_us.saturating_add(CLOSED_AFTER_US) <= now_us)
    }
}

/// The first microsecond of a moment's day, UTC.
pub fn day_of(unix_us: i64) -> i64 {
    unix_us.saturating_sub(unix_us.rem_euclid(DAY_US))
}

#[cfg(test)]
pub(super) fn of_days(first: i64, days: i64) -> Partition {
    Partition {
        name: format!("of_{first}"),
        bounds: Some(first * DAY_US..(first + days) * DAY_US),
        is_ordinary: true,
        is_half_detached: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_within_one_day_is_the_nodes_and_no_other() {
        assert_eq!(of_days(20_000, 1).day_us(), Some(20_000 * DAY_US));
        let hours = |from: i64, to: i64| Partition {
            bounds: Some(20_000 * DAY_US + from * DAY_US / 24..20_000 * DAY_US + to * DAY_US / 24),
            ..of_days(0, 1)
        };
        assert_eq!(hours(14, 22).day_us(), Some(20_000 * DAY_US), "what others left of a day");
        assert_eq!(hours(14, 24).day_us(), Some(20_000 * DAY_US));
        assert_eq!(hours(-2, 3).day_us(), None, "over midnight");
        assert_eq!(of_days(20_000, 31).day_us(), None, "a month");
        assert_eq!(Partition { bounds: None, ..of_days(0, 1) }.day_us(), None, "the default partition");
        for unbounded in [i64::MIN..0, 0..i64::MAX, i64::MIN..i64::MAX] {
            assert_eq!(Partition { bounds: Some(unbounded), ..of_days(0, 1) }.day_us(), None);
        }
        assert_eq!(Partition { is_ordinary: false, ..of_days(20_000, 1) }.day_us(), None);
        assert_eq!(Partition { is_half_detached: true, ..of_days(20_000, 1) }.day_us(), None);
    }

    #[test]
    fn a_day_is_closed_an_hour_after_its_end() {
        let end_us = 20_001 * DAY_US;
        assert!(!of_days(20_000, 1).is_closed(end_us + CLOSED_AFTER_US - 1));
        assert!(of_days(20_000, 1).is_closed(end_us + CLOSED_AFTER_US));
        assert!(!of_days(20_000, 31).is_closed(i64::MAX), "somebody else's");
    }

    #[test]
    fn a_day_begins_at_midnight_utc_before_1970_as_well() {
        assert_eq!([day_of(0), day_of(DAY_US - 1), day_of(-1)], [0, 0, -DAY_US]);
    }
}
