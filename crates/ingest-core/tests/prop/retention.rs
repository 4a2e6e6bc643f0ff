//! Which partitions are dropped.

use std::ops::RangeInclusive;

use ingest_core::retention::partition::{DAY_US, Partition};
use ingest_core::retention::plan::{kept_from_us, plan};
use proptest::prelude::*;

const TODAY: i64 = 200;

fn partition() -> impl Strategy<Value = Partition> {
    let hour = DAY_US / 24;
    // Days, pieces of days, and what is neither.
    let bounds = prop_oneof![
        4 => (150..210_i64).prop_map(|day| Some(day * DAY_US..(day + 1) * DAY_US)),
        2 => (150 * 24..210 * 24_i64, 1..40_i64).prop_map(move |(from, long)| Some(from * hour..(from + long) * hour)),
        1 => Just(None),
    ];
    (bounds, prop::bool::weighted(0.9), prop::bool::weighted(0.1)).prop_map(
        |(bounds, is_ordinary, is_half_detached)| Partition {
            name: format!("{bounds:?}"),
            bounds,
            is_ordinary,
            is_half_detached,
        },
    )
}

fn owed() -> impl Strategy<Value = Vec<RangeInclusive<i64>>> {
    let range = (150 * DAY_US..210 * DAY_US, 0..3 * DAY_US).prop_map(|(from, long)| from..=from + long);
    prop::collection::vec(range, 0..4)
}

proptest! {
    #[test]
    fn what_is_dropped_is_old_whole_and_not_owed_and_nothing_else_stays(
        partitions in prop::collection::vec(partition(), 0..12),
        time in 0..DAY_US,
        days in 1..60_u32,
        owed in owed(),
    ) {
        let now_us = TODAY * DAY_US + time;
        let kept_from_us = kept_from_us(now_us, days);
        prop_assert!(now_us - kept_from_us >= i64::from(days) * DAY_US, "so many days at least");
        let plan = plan(partitions.clone(), now_us, days, &owed);
        for due in &plan.due {
            let bounds = due.bounds.clone().expect("bounds");
            prop_assert!(bounds.end <= kept_from_us && due.is_ordinary && !due.is_half_detached);
            prop_assert!(owed.iter().all(|range| *range.end() < bounds.start || *range.start() >= bounds.end));
            prop_assert_eq!(bounds.start.div_euclid(DAY_US), (bounds.end - 1).div_euclid(DAY_US), "one day");
        }
        prop_assert!(plan.due.windows(2).all(|pair| pair[0].bounds.as_ref().map(|b| b.start) <= pair[1].bounds.as_ref().map(|b| b.start)));
        // What is old and the node's is dropped or held back, and held back only where its own day is owed.
        for partition in &partitions {
            let is_old = partition.bounds.as_ref().is_some_and(|bounds| bounds.end <= kept_from_us);
            let is_sorted = plan.due.contains(partition) || plan.held_back.contains(partition);
            prop_assert_eq!(is_sorted, is_old && partition.day_us().is_some(), "{:?}", partition);
            prop_assert!(!is_sorted || !plan.others.contains(partition));
        }
        for held in &plan.held_back {
            let day_us = held.day_us().expect("a day");
            prop_assert!(owed.iter().any(|range| *range.start() < day_us + DAY_US && day_us <= *range.end()));
        }
    }

    #[test]
    fn the_more_days_are_kept_the_less_is_dropped(
        partitions in prop::collection::vec(partition(), 0..12), days in 1..60_u32, more in 0..60_u32, owed in owed(),
    ) {
        let due = |days| plan(partitions.clone(), TODAY * DAY_US, days, &owed).due;
        let (all, fewer) = (due(days), due(days + more));
        prop_assert!(fewer.iter().all(|partition| all.contains(partition)));
    }
}
