//! What InfluxDB has not confirmed: rows of `influx_outbox` that this node answers for, and each line's share in them.
//!
//! As with a delivery, forgetting is impossible: a [`PendingAck`] that is dropped without a word (a full buffer, a dead
//! batcher, a drain) leaves its rows on record, and they are released for the replay. Only when every share has been
//! confirmed are they deleted.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One generation's part in the outbox: its name there, and where its debts report their end.
#[derive(Clone, Debug)]
pub struct Outbox {
    owner: Arc<str>,
    ended: UnboundedSender<Ended>,
}

/// Rows of the outbox whose lines have all met their fate, as far as this node is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The rows.
    pub ids: Vec<i64>,
    /// Whose replay it was; `None` where the lines came with their deliveries.
    pub redelivered_for: Option<Arc<str>>,
    /// Lines that were confirmed: durable in InfluxDB, or refused by it and durable in the quarantine.
    pub confirmed: u64,
    /// Whether all were: then the rows can go.
    pub is_clear: bool,
}

impl Outbox {
    /// An outbox with a new name, and the ends of its debts.
    pub fn new() -> (Self, UnboundedReceiver<Ended>) {
        let (ended, ends) = unbounded_channel();
        (Self { owner: random_uuid().into(), ended }, ends)
    }

    /// The name under which this generation owns rows: a random UUID.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Takes on these rows, for lines that came with their deliveries. The share given out stands for whoever holds it.
    pub fn track(&self, ids: Vec<i64>) -> PendingAck {
        self.share(ids, None)
    }

    /// The same for lines that are replayed.
    pub fn claim(&self, ids: Vec<i64>, tenant_id: Arc<str>) -> PendingAck {
        self.share(ids, Some(tenant_id))
    }

    fn share(&self, ids: Vec<i64>, redelivered_for: Option<Arc<str>>) -> PendingAck {
        PendingAck(Some(Arc::new(Entries {
            ids,
            redelivered_for,
            confirmed: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
            ended: self.ended.clone(),
        })))
    }
}

/// One line's part in a debt. The default is a part in none: confirming or dropping it has no effect.
#[derive(Debug, Default)]
pub struct PendingAck(Option<Arc<Entries>>);

impl PendingAck {
    /// Another line's part in the same debt.
    #[must_use]
    pub fn another(&self) -> PendingAck {
        PendingAck(self.0.clone())
    }

    /// The rows of the debt that it is a part of; none where it is a part in none.
    pub fn ids(&self) -> &[i64] {
        self.0.as_ref().map_or(&[], |debt| &debt.ids)
    }

    /// Whether its line is replayed: rebuilt from its row, long after its delivery.
    pub fn is_redelivered(&self) -> bool {
        self.0.as_ref().is_some_and(|debt| debt.redelivered_for.is_some())
    }

    /// Whether another part of its debt was dropped: the rows stay on record, whatever becomes of this line.
    pub fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_some_and(|debt| debt.is_kept.load(Ordering::Relaxed))
    }

    /// How many other parts of its debt have met no fate yet.
    pub fn others(&self) -> usize {
        self.0.as_ref().map_or(0, |debt| Arc::strong_count(debt) - 1)
    }

    /// The line is durable in InfluxDB, or refused by it and durable in the quarantine.
    pub fn confirm(mut self) {
        if let Some(debt) = self.0.take() {
            debt.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There is no line behind this part: it stood for those that were still to be given out.
    pub fn resolve(mut self) {
        self.0.take();
    }
}

impl Drop for PendingAck {
    fn drop(&mut self) {
        if let Some(debt) = self.0.take() {
            debt.is_kept.store(true, Ordering::Relaxed);
        }
    }
}

/// Ends when its last share does; the reference count's own ordering makes their words visible to it.
#[derive(Debug)]
struct Entries {
    ids: Vec<i64>,
    redelivered_for: Option<Arc<str>>,
    confirmed: AtomicU64,
    is_kept: AtomicBool,
    ended: UnboundedSender<Ended>,
}

impl Drop for Entries {
    fn drop(&mut self) {
        // Without a receiver the generation is at its end, and its rows are taken over as those of a dead node.
        let _ = self.ended.send(Ended {
            ids: std::mem::take(&mut self.ids),
            redelivered_for: self.redelivered_for.take(),
            confirmed: *self.confirmed.get_mut(),
            is_clear: !*self.is_kept.get_mut(),
        });
    }
}

/// A version 4 UUID. The hasher's keys come from the operating system: nodes that start at the same moment differ.
fn random_uuid() -> String {
    let [high, low] = [0_u64, 1].map(|half| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(half);
        hasher.finish()
    });
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_debt_is_clear_when_every_share_is_confirmed() {
        let (outbox, mut ends) = Outbox::new();
        let first = outbox.track(vec![1, 2]);
        let second = first.another();
        assert_eq!((first.others(), PendingAck::default().others()), (1, 0));
        first.confirm();
        assert_eq!(second.others(), 0);
        assert!(ends.try_recv().is_err(), "one share is still out");
        second.confirm();
        let ended = Ended { ids: vec![1, 2], redelivered_for: None, confirmed: 2, is_clear: true };
        assert_eq!(ends.try_recv(), Ok(ended));
    }

    #[test]
    fn a_dropped_share_keeps_the_rows_on_record() {
        let (outbox, mut ends) = Outbox::new();
        let first = outbox.claim(vec![7], "acme".into());
        assert_eq!((first.ids(), PendingAck::default().ids()), (&[7_i64][..], &[][..]));
        assert!(first.is_redelivered() && !outbox.track(vec![8]).is_redelivered());
        assert!(ends.try_recv().is_ok());
        assert!(!first.is_abandoned());
        drop(first.another());
        assert!(first.is_abandoned());
        first.another().confirm();
        first.resolve();
        let ended = Ended { ids: vec![7], redelivered_for: Some("acme".into()), confirmed: 1, is_clear: false };
        assert_eq!(ends.try_recv(), Ok(ended));
        drop(PendingAck::default());
        assert!(ends.try_recv().is_err());
    }

    /// What becomes of a part.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fate {
        Confirmed,
        Dropped,
        /// It stood for lines that were still to be given out.
        Resolved,
    }

    fn meet(share: PendingAck, fate: Fate) {
        match fate {
            Fate::Confirmed => share.confirm(),
            Fate::Dropped => drop(share),
            Fate::Resolved => share.resolve(),
        }
    }

    /// What may happen to a share.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Another,
        Confirm,
        Resolve,
        Drop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![4 => Just(Step::Another), 4 => Just(Step::Confirm), 1 => Just(Step::Resolve), 1 => Just(Step::Drop)]
    }

    proptest! {
        /// Several debts side by side; each step happens to one of their shares, chosen by chance, and at last all go.
        #[test]
        fn rows_are_cleared_when_every_share_was_confirmed_and_released_once_otherwise(
            steps in prop::collection::vec((any::<usize>(), step()), 0..60),
            last in prop_oneof![9 => Just(Step::Confirm), 1 => Just(Step::Drop)],
            debts in 1..4_usize,
        ) {
            let (outbox, mut ends) = Outbox::new();
            let mut held: Vec<(usize, PendingAck)> =
                (0..debts).map(|debt| (debt, outbox.track(vec![debt as i64, -1]))).collect();
            let (mut confirmed, mut dropped) = (vec![0; debts], vec![false; debts]);
            let mut ended = vec![false; debts];
            let finally = std::iter::repeat_n((0, last), 100);
            for (chosen, step) in steps.into_iter().chain(finally) {
                if held.is_empty() {
                    break;
                }
                let at = chosen % held.len();
                let debt = held[at].0;
                let of_debt = |held: &[(usize, PendingAck)]| held.iter().filter(|(of, _)| *of == debt).count();
                prop_assert_eq!(held[at].1.others(), of_debt(&held) - 1);
                prop_assert_eq!(held[at].1.is_abandoned(), dropped[debt]);
                match step {
                    Step::Another => held.push((debt, held[at].1.another())),
                    Step::Confirm => {
                        held.swap_remove(at).1.confirm();
                        confirmed[debt] += 1;
                    }
                    Step::Resolve => held.swap_remove(at).1.resolve(),
                    Step::Drop => {
                        drop(held.swap_remove(at));
                        dropped[debt] = true;
                    }
                }
                let expected = (of_debt(&held) == 0).then(|| Ended {
                    ids: vec![debt as i64, -1],
                    redelivered_for: None,
                    confirmed: confirmed[debt],
                    is_clear: !dropped[debt],
                });
                prop_assert!(expected.is_none() || !std::mem::replace(&mut ended[debt], true));
                prop_assert_eq!(ends.try_recv().ok(), expected);
            }
            prop_assert!(held.is_empty() && ended.into_iter().all(|ended| ended));
            prop_assert!(ends.try_recv().is_err(), "something ended twice");
        }

        #[test]
        fn a_debt_ends_once_and_is_clear_only_when_no_part_was_dropped(
            fates in proptest::collection::vec(
                prop_oneof![6 => Just(Fate::Confirmed), 1 => Just(Fate::Dropped), 1 => Just(Fate::Resolved)], 1..40,
            ),
            threads in 1_usize..4,
        ) {
            let (outbox, mut ends) = Outbox::new();
            let first = outbox.track(vec![1, 2]);
            let mut shares: Vec<PendingAck> = (1..fates.len()).map(|_| first.another()).collect();
            shares.push(first);
            prop_assert!(ends.try_recv().is_err(), "nothing has ended yet");

            let mut parts: Vec<Vec<(PendingAck, Fate)>> = (0..threads).map(|_| Vec::new()).collect();
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

        /// Each share on a thread of its own: the last one to end sees what all others said.
        #[test]
        fn on_as_many_threads_as_there_are_shares_it_is_the_same(confirms in prop::collection::vec(any::<bool>(), 1..5)) {
            let (outbox, mut ends) = Outbox::new();
            let first = outbox.claim(vec![7], "acme".into());
            let shares: Vec<(PendingAck, bool)> = confirms.iter().map(|confirms| (first.another(), *confirms)).collect();
            first.resolve();
            std::thread::scope(|scope| {
                for (share, confirms) in shares {
                    scope.spawn(move || if confirms { share.confirm() } else { drop(share) });
                }
            });
            let confirmed = confirms.iter().filter(|confirms| **confirms).count() as u64;
            let is_clear = confirms.iter().all(|confirms| *confirms);
            let ended = Ended { ids: vec![7], redelivered_for: Some("acme".into()), confirmed, is_clear };
            prop_assert_eq!(ends.try_recv(), Ok(ended));
            prop_assert!(ends.try_recv().is_err());
        }
    }

    #[test]
    fn every_outbox_has_a_name_of_its_own() {
        let (first, second) = (random_uuid(), random_uuid());
        assert_ne!(first, second);
        assert_eq!((first.len(), first.as_bytes()[14]), (36, b'4'));
        assert!(matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{first}");
    }
}
