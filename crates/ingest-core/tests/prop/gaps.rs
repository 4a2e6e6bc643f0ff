//! Gaps of a day between existing partitions.

use std::ops::Range;

use ingest_core::flow::gaps::gaps;
use proptest::prelude::*;

/// The gaps of a day of 24 hours, as first and last.
fn gaps_between(others: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let others: Vec<Range<i64>> = others.iter().map(|(from, to)| *from..*to).collect();
    gaps(0..24, &others).into_iter().map(|gap| (gap.start, gap.end)).collect()
}

#[test]
fn a_day_has_a_gap_before_between_and_behind_others() {
    assert_eq!(gaps_between(&[]), [(0, 24)]);
    assert_eq!(gaps_between(&[(0, 12)]), [(12, 24)]);
    assert_eq!(gaps_between(&[(14, 16), (6, 8), (7, 9)]), [(0, 6), (9, 14), (16, 24)]);
    assert_eq!(gaps_between(&[(i64::MIN, i64::MAX)]), []);
    assert_eq!(gaps_between(&[(-5, 0), (24, 30), (24, 24)]), [(0, 24)]);
}

proptest! {
    #[test]
    fn every_moment_is_either_in_one_gap_or_in_another_partition(
        others in prop::collection::vec((-5..30_i64, 0..20_i64).prop_map(|(from, long)| from..from + long), 0..6),
    ) {
        let gaps = gaps(0..24, &others);
        for moment in -10..40 {
            let expected = (0..24).contains(&moment) && !others.iter().any(|other| other.contains(&moment));
            let found = gaps.iter().filter(|gap| gap.contains(&moment)).count();
            prop_assert_eq!(found, usize::from(expected), "{} in {:?}", moment, gaps);
        }
        prop_assert!(gaps.iter().all(|gap| !gap.is_empty()));
        prop_assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
    }
}
