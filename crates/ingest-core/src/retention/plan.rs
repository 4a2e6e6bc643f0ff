//! Which partitions are dropped, which would be and are owed to InfluxDB, and which are left alone.

use std::ops::RangeInclusive;

use super::partition::{DAY_US, Partition, day_of};

/// What becomes of the partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be dropped, the oldest first.
    pub due: Vec<Partition>,
    /// Old enough to be dropped, of days of which InfluxDB is owed points.
    pub held_back: Vec<Partition>,
    /// Others', with days that are old enough: left alone.
    pub others: Vec<Partition>,
}

/// The first moment that is kept: the days before today, as many as are asked for, and today itself.
pub fn kept_from_us(now_us: i64, days: u32) -> i64 {
    day_of(now_us).saturating_sub(DAY_US.saturating_mul(i64::from(days)))
}

/// Sorts the partitions that are old enough. `owed`: from when to when, Unix microseconds, are the messages whose points are owed;
/// a day of which one is owed stays as a whole.
pub fn plan(partitions: Vec<Partition>, now_us: i64, days: u32, owed: &[RangeInclusive<i64>]) -> Plan {
    let kept_from_us = kept_from_us(now_us, days);
    let mut plan = Plan::default();
    for partition in partitions {
        let bounds = partition.bounds.clone().unwrap_or(i64::MIN..i64::MAX);
        match partition.day_us() {
            Some(_) if bounds.end > kept_from_us => {}
            Some(day_us) if is_owed(day_us, owed) => plan.held_back.push(partition),
            Some(_) => plan.due.push(partition),
            None if bounds.start < kept_from_us => plan.others.push(partition),
            None => {}
        }
    }
    for partitions in [&mut plan.due, &mut plan.held_back, &mut plan.others] {
        partitions.sort_by_key(|partition| partition.bounds.as_ref().map(|bounds| bounds.start));
    }
    plan
}

fn is_owed(day_us: i64, owed: &[RangeInclusive<i64>]) -> bool {
    owed.iter().any(|range| *range.start() < day_us.saturating_add(DAY_US) && *range.end() >= day_us)
}

#[cfg(test)]
mod tests {
    use super::super::partition::of_days;
    use super::*;

    /// Noon of day 100.
    const NOW: i64 = 100 * DAY_US + DAY_US / 2;

    fn names(partitions: &[Partition]) -> Vec<&str> {
        partitions.iter().map(|partition| partition.name.as_str()).collect()
    }

    #[test]
    fn so_many_full_days_are_kept_and_today() {
        let all: Vec<Partition> = (90..104).rev().map(|day| of_days(day, 1)).collect();
        let due = |days| names(&plan(all.clone(), NOW, days, &[]).due).join(" ");
        assert_eq!(due(7), "of_90 of_91 of_92");
        assert_eq!(due(10), "");
        assert_eq!(due(u32::MAX), "");
        assert_eq!(due(1).split(' ').next_back(), Some("of_98"), "yesterday is kept");
    }

    #[test]
    fn a_day_that_is_owed_stays_as_a_whole_and_no_other() {
        let half =
            |from: i64, to: i64| Partition { bounds: Some(from * DAY_US / 2..to * DAY_US / 2), ..of_days(91, 1) };
        let all = vec![of_days(90, 1), half(182, 183), half(183, 184), of_days(92, 1)];
        let owed = [91 * DAY_US + 5..=91 * DAY_US + 7];
        let plan = plan(all, NOW, 7, &owed);
        assert_eq!(names(&plan.due), ["of_90", "of_92"]);
        assert_eq!(names(&plan.held_back), ["of_91", "of_91"], "both halves");
    }

    #[test]
    fn the_last_microsecond_of_a_day_is_owed_and_the_first_of_the_next_is_not() {
        let held = |range| plan(vec![of_days(91, 1)], NOW, 7, &[range]).held_back.len();
        assert_eq!(held(0..=91 * DAY_US - 1), 0);
        assert_eq!(held(0..=91 * DAY_US), 1);
        assert_eq!(held(92 * DAY_US - 1..=i64::MAX), 1);
        assert_eq!(held(92 * DAY_US..=i64::MAX), 0);
    }

    #[test]
    fn what_others_have_attached_is_left_alone_and_named_where_it_is_old() {
        let default = Partition { name: "default".to_owned(), bounds: None, ..of_days(0, 1) };
        let all =
            vec![default, of_days(60, 30), of_days(95, 30), Partition { is_half_detached: true, ..of_days(50, 1) }];
        let plan = plan(all, NOW, 7, &[]);
        assert_eq!(names(&plan.others), ["default", "of_50", "of_60"]);
        assert!(plan.due.is_empty());
    }
}
