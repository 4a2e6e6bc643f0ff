//! Gaps: the parts of a time range that other ranges leave free.

use std::ops::Range;

/// The parts of `whole` that none of the others covers, in order. The others may overlap each other.
pub fn gaps(whole: Range<i64>, others: &[Range<i64>]) -> Vec<Range<i64>> {
    let mut others: Vec<&Range<i64>> = others.iter().filter(|other| !other.is_empty()).collect();
    others.sort_by_key(|other| other.start);
    let (mut gaps, mut covered_to) = (Vec::new(), whole.start);
    for other in others {
        let gap = covered_to..other.start.min(whole.end);
        covered_to = covered_to.max(other.end);
        if !gap.is_empty() {
            gaps.push(gap);
        }
    }
    if covered_to < whole.end {
        gaps.push(covered_to..whole.end);
    }
    gaps
}
