//! The space-saving counter: what is frequent is kept, no count is too high, and memory is bounded.

use std::collections::HashMap;

use ingest_core::flow::top_counts::TopCounts;
use proptest::prelude::*;

/// Names, the first ones of which are the most frequent.
fn names() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec((0_u32..40).prop_flat_map(|most| 0..=most), 0..400)
}

proptest! {
    #[test]
    fn frequent_names_are_kept_and_no_count_is_higher_than_the_truth(names in names(), capacity in 1_usize..20) {
        let (mut counts, mut truth) = (TopCounts::new(capacity), HashMap::<String, u64>::new());
        for name in &names {
            counts.count(&name.to_string());
            *truth.entry(name.to_string()).or_default() += 1;
        }
        prop_assert_eq!(counts.len(), truth.len().min(capacity));
        let top = counts.top(usize::MAX);
        for count in &top {
            let true_count = truth[count.name];
            prop_assert!(count.at_least <= true_count && (!count.is_exact || count.at_least == true_count), "{:?}", count);
        }
        for (name, count) in &truth {
            let is_frequent = *count > names.len() as u64 / capacity as u64;
            prop_assert!(!is_frequent || top.iter().any(|kept| kept.name == name), "{} came {} times", name, count);
        }
        let order: Vec<u64> = top.iter().map(|count| count.at_least).collect();
        prop_assert!(order.is_sorted_by(|one, other| one >= other));
    }
}
