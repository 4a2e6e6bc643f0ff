//! Pending acks under every order of confirming, dropping and discarding.

use std::thread;

use proptest::prelude::*;

use super::{Outbox, PendingAck, Released};

#[test]
fn an_entry_is_clear_when_every_pending_ack_is_confirmed() {
    let (outbox, mut released) = Outbox::new();
    let first = outbox.track(vec![1, 2]);
    let second = first.clone_ref();
    assert_eq!((first.outstanding(), PendingAck::default().outstanding()), (1, 0));
    first.confirm();
    assert_eq!(second.outstanding(), 0);
    assert!(released.try_recv().is_err(), "one line is pending");
    second.confirm();
    let expected = Released { ids: vec![1, 2], redelivered_for: None, confirmed: 2, is_clear: true };
    assert_eq!(released.try_recv(), Ok(expected));
}

#[test]
fn a_dropped_pending_ack_keeps_its_entries_in_the_outbox() {
    let (outbox, mut released) = Outbox::new();
    let first = outbox.claim(vec![7], "acme".into());
    assert_eq!((first.ids(), PendingAck::default().ids()), (&[7_i64][..], &[][..]));
    assert!(first.is_redelivered() && !outbox.track(vec![8]).is_redelivered());
    assert!(released.try_recv().is_ok());
    assert!(!first.is_abandoned());
    drop(first.clone_ref());
    assert!(first.is_abandoned());
    first.clone_ref().confirm();
    first.discard();
    let expected = Released { ids: vec![7], redelivered_for: Some("acme".into()), confirmed: 1, is_clear: false };
    assert_eq!(released.try_recv(), Ok(expected));
    drop(PendingAck::default());
    assert!(released.try_recv().is_err());
}

/// What becomes of a pending ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Confirmed,
    Dropped,
    /// It stood for lines that were still to be made.
    Discarded,
}

fn end(pending_ack: PendingAck, fate: Fate) {
    match fate {
        Fate::Confirmed => pending_ack.confirm(),
        Fate::Dropped => drop(pending_ack),
        Fate::Discarded => pending_ack.discard(),
    }
}

/// What may happen to a pending ack.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    CloneRef,
    Confirm,
    Discard,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => Just(Step::CloneRef), 4 => Just(Step::Confirm), 1 => Just(Step::Discard), 1 => Just(Step::Drop)]
}

proptest! {
    /// Several entries side by side; each step happens to one of their pending acks, chosen at random, and at last all end.
    #[test]
    fn entries_are_clear_when_every_pending_ack_was_confirmed_and_are_released_once(
        steps in prop::collection::vec((any::<usize>(), step()), 0..60),
        last in prop_oneof![9 => Just(Step::Confirm), 1 => Just(Step::Drop)],
        entries in 1..4_usize,
    ) {
        let (outbox, mut released) = Outbox::new();
        let mut held: Vec<(usize, PendingAck)> =
            (0..entries).map(|entry| (entry, outbox.track(vec![entry as i64, -1]))).collect();
        let (mut confirmed, mut dropped) = (vec![0; entries], vec![false; entries]);
        let mut ended = vec![false; entries];
        let finally = std::iter::repeat_n((0, last), 100);
        for (chosen, step) in steps.into_iter().chain(finally) {
            if held.is_empty() {
                break;
            }
            let at = chosen % held.len();
            let entry = held[at].0;
            let of_entry = |held: &[(usize, PendingAck)]| held.iter().filter(|(of, _)| *of == entry).count();
            prop_assert_eq!(held[at].1.outstanding(), of_entry(&held) - 1);
            prop_assert_eq!(held[at].1.is_abandoned(), dropped[entry]);
            match step {
                Step::CloneRef => held.push((entry, held[at].1.clone_ref())),
                Step::Confirm => {
                    held.swap_remove(at).1.confirm();
                    confirmed[entry] += 1;
                }
                Step::Discard => held.swap_remove(at).1.discard(),
                Step::Drop => {
                    drop(held.swap_remove(at));
                    dropped[entry] = true;
                }
            }
            let expected = (of_entry(&held) == 0).then(|| Released {
                ids: vec![entry as i64, -1],
                redelivered_for: None,
                confirmed: confirmed[entry],
                is_clear: !dropped[entry],
            });
            prop_assert!(expected.is_none() || !std::mem::replace(&mut ended[entry], true));
            prop_assert_eq!(released.try_recv().ok(), expected);
        }
        prop_assert!(held.is_empty() && ended.into_iter().all(|ended| ended));
        prop_assert!(released.try_recv().is_err(), "something ended twice");
    }

    #[test]
    fn entries_are_released_once_and_are_clear_only_when_no_pending_ack_was_dropped(
        fates in proptest::collection::vec(
            prop_oneof![6 => Just(Fate::Confirmed), 1 => Just(Fate::Dropped), 1 => Just(Fate::Discarded)], 1..40,
        ),
        threads in 1_usize..4,
    ) {
        let (outbox, mut released) = Outbox::new();
        let first = outbox.track(vec![1, 2]);
        let mut pending_acks: Vec<PendingAck> = (1..fates.len()).map(|_| first.clone_ref()).collect();
        pending_acks.push(first);
        prop_assert!(released.try_recv().is_err(), "nothing has ended yet");

        let mut chunks: Vec<Vec<(PendingAck, Fate)>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, pending_ack) in pending_acks.into_iter().zip(fates.iter().copied()).enumerate() {
            chunks[index % threads].push(pending_ack);
        }
        let threads: Vec<_> = chunks
            .into_iter()
            .map(|chunk| thread::spawn(move || chunk.into_iter().for_each(|(pending_ack, fate)| end(pending_ack, fate))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());

        let first = released.try_recv().unwrap();
        prop_assert!(released.try_recv().is_err(), "it was released twice");
        let released = first;
        prop_assert_eq!(released.ids, vec![1, 2]);
        prop_assert_eq!(released.confirmed, fates.iter().filter(|fate| **fate == Fate::Confirmed).count() as u64);
        prop_assert_eq!(released.is_clear, !fates.contains(&Fate::Dropped));
    }

    /// Each pending ack on a thread of its own: the last one to end sees how all others ended.
    #[test]
    fn on_as_many_threads_as_there_are_pending_acks_it_is_the_same(confirms in prop::collection::vec(any::<bool>(), 1..5)) {
        let (outbox, mut released) = Outbox::new();
        let first = outbox.claim(vec![7], "acme".into());
        let pending_acks: Vec<(PendingAck, bool)> = confirms.iter().map(|confirms| (first.clone_ref(), *confirms)).collect();
        first.discard();
        std::thread::scope(|scope| {
            for (pending_ack, confirms) in pending_acks {
                scope.spawn(move || if confirms { pending_ack.confirm() } else { drop(pending_ack) });
            }
        });
        let confirmed = confirms.iter().filter(|confirms| **confirms).count() as u64;
        let is_clear = confirms.iter().all(|confirms| *confirms);
        let expected = Released { ids: vec![7], redelivered_for: Some("acme".into()), confirmed, is_clear };
        prop_assert_eq!(released.try_recv(), Ok(expected));
        prop_assert!(released.try_recv().is_err());
    }
}

#[test]
fn every_outbox_has_a_name_of_its_own() {
    let (first, second) = (Outbox::new().0, Outbox::new().0);
    let (first, second) = (first.owner(), second.owner());
    assert_ne!(first, second);
    assert_eq!((first.len(), first.as_bytes()[14]), (36, b'4'));
    assert!(matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{first}");
}
