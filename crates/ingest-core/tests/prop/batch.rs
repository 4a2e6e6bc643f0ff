//! A batch never loses, doubles or reorders.

use std::collections::{BTreeMap, VecDeque};

use ingest_core::flow::batch::{extract, take};
use proptest::prelude::*;

proptest! {
    #[test]
    fn batches_taken_from_a_queue_are_the_queue(items in 0_usize..200, sizes in proptest::collection::vec(1_usize..20, 1..60)) {
        let mut queue: VecDeque<usize> = (0..items).collect();
        let mut taken = Vec::new();
        for size in sizes {
            let mut room = size;
            let batch = take(&mut queue, &mut room);
            prop_assert!(batch.len() <= size);
            prop_assert_eq!(room, size - batch.len());
            taken.extend(batch);
        }
        taken.extend(queue);
        prop_assert_eq!(taken, (0..items).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_extracted_and_what_stays_are_everything_in_order(items in 0_usize..60, named in proptest::collection::vec(0_usize..80, 0..60)) {
        let mut named = named;
        named.sort_unstable();
        let wanted: BTreeMap<usize, ()> = named.iter().filter(|at| **at < items).map(|at| (*at, ())).collect();
        let mut kept: Vec<usize> = (0..items).collect();
        let taken = extract(&mut kept, named.into_iter().map(|at| (at, format!("why {at}"))).collect());
        prop_assert_eq!(taken.iter().map(|(item, _)| *item).collect::<Vec<_>>(), wanted.keys().copied().collect::<Vec<_>>());
        prop_assert!(taken.iter().all(|(item, why)| *why == format!("why {}", item)), "each with its own remark");
        let others: Vec<usize> = (0..items).filter(|item| !wanted.contains_key(item)).collect();
        prop_assert_eq!(kept, others);
    }
}
