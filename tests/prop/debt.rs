//! The share in a debt: in whatever order its parts meet their fate, the debt ends once, and is clear only when every line
//! was confirmed.

use std::thread;

use ingest_node::outbox::share::{Outbox, Share};
use proptest::prelude::*;

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Confirmed,
    Dropped,
    /// It stood for lines that were still to be given out.
    Resolved,
}

fn meet(share: Share, fate: Fate) {
    match fate {
        Fate::Confirmed => share.confirm(),
        Fate::Dropped => drop(share),
        Fate::Resolved => share.resolve(),
    }
}

proptest! {
    #[test]
    fn a_debt_ends_once_and_is_clear_only_when_no_part_was_dropped(
        fates in proptest::collection::vec(
            prop_oneof![6 => Just(Fate::Confirmed), 1 => Just(Fate::Dropped), 1 => Just(Fate::Resolved)], 1..40,
        ),
        threads in 1_usize..4,
    ) {
        let (outbox, mut ends) = Outbox::new();
        let first = outbox.take_on(vec![1, 2]);
        let mut shares: Vec<Share> = (1..fates.len()).map(|_| first.another()).collect();
        shares.push(first);
        prop_assert!(ends.try_recv().is_err(), "nothing has ended yet");

        let mut parts: Vec<Vec<(Share, Fate)>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, part) in shares.into_iter().zip(fates.iter().copied()).enumerate() {
            parts[index % threads].push(part);
        }
        let threads: Vec<_> = parts
            .into_iter()
            .map(|part| thread::spawn(move || part.into_iter().for_each(|(share, fate)| meet(share, fate))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());

        let ended = ends.try_recv().unwrap();
        prop_assert!(ends.try_recv().is_err(), "it ends once");
        prop_assert_eq!(ended.ids, vec![1, 2]);
        prop_assert_eq!(ended.confirmed, fates.iter().filter(|fate| **fate == Fate::Confirmed).count() as u64);
        prop_assert_eq!(ended.is_clear, !fates.contains(&Fate::Dropped));
    }
}
