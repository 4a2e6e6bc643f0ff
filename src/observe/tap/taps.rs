//! The open taps, and what validators offer them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::mpsc::{self, Receiver, Sender};

use ingest_core::tap::{Filter, TappedMessage, sample};

/// Taps that may be open at once: each costs validators time.
const MOST_TAPS: usize = 4;
/// Samples that wait for their reader. What finds no room is counted, and lost to the tap.
const QUEUE: usize = 128;

/// The open taps of a node.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// How many are open. Relaxed: a tap that opens a moment later sees a chunk less.
    open: AtomicUsize,
    taps: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    open: Vec<Arc<Tap>>,
    /// The node ends: none is opened any more.
    has_ended: bool,
}

/// One open tap, on the side of the validators.
#[derive(Debug)]
struct Tap {
    filter: Filter,
    samples: Sender<String>,
    dropped: Arc<AtomicU64>,
}

/// One open tap, on the side of its reader; closed when it is dropped.
#[derive(Debug)]
pub(super) struct Reader {
    taps: Arc<Taps>,
    samples: Receiver<String>,
    /// Also what tells it from others.
    dropped: Arc<AtomicU64>,
}

/// The taps that a chunk of messages is offered.
pub(crate) struct Offered(Vec<Arc<Tap>>);

impl Taps {
    /// Those that are open; `None` where none is, which is all that an unused tap costs.
    #[inline]
    pub(crate) fn offered(&self) -> Option<Offered> {
        if self.open.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(Offered(self.taps.lock().open.clone()))
    }

    /// Ends all of them, and lets none be opened any more.
    pub(crate) fn end(&self) {
        let mut taps = self.taps.lock();
        taps.has_ended = true;
        self.replace(&mut taps, Vec::new());
    }

    /// Opens one more; `None` where there are enough.
    pub(super) fn open(self: &Arc<Self>, filter: Filter) -> Option<Reader> {
        let mut taps = self.taps.lock();
        if taps.has_ended || taps.open.len() >= MOST_TAPS {
            return None;
        }
        let (sender, samples) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        let tap = Arc::new(Tap { filter, samples: sender, dropped: dropped.clone() });
        let open = taps.open.iter().cloned().chain([tap]).collect();
        self.replace(&mut taps, open);
        Some(Reader { taps: self.clone(), samples, dropped })
    }

    fn replace(&self, taps: &mut List, open: Vec<Arc<Tap>>) {
        self.open.store(open.len(), Ordering::Relaxed);
        taps.open = open;
    }
}

impl Offered {
    /// Offers a message. Its sample is made only where a tap wants it and has room.
    pub(crate) fn offer(&self, seen: &TappedMessage<'_>) {
        for tap in self.0.iter().filter(|tap| tap.filter.admits(seen)) {
            match tap.samples.try_reserve() {
                Ok(room) => room.send(sample(seen, now_us())),
                Err(_) => {
                    tap.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Reader {
    /// The next samples, as many as there are up to `most`; waits for the first of them. `None` once the node ends.
    pub(super) async fn next(&mut self, most: usize) -> Option<Vec<String>> {
        let mut samples = Vec::new();
        let count = self.samples.recv_many(&mut samples, most).await;
        (count > 0).then_some(samples)
    }

    /// How many messages found no room so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut taps = self.taps.taps.lock();
        let open = taps.open.iter().filter(|tap| !Arc::ptr_eq(&tap.dropped, &self.dropped)).cloned().collect();
        self.taps.replace(&mut taps, open);
    }
}

fn now_us() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingest_core::tap::Decision;

    fn offer(taps: &Taps, stream_seq: u64) {
        if let Some(offered) = taps.offered() {
            let (stream, attempt, received_us, body) = ("TELEMETRY", 1, 0, &b"{}"[..]);
            let (envelope, verdict) = (None, Decision::Accepted);
            offered.offer(&TappedMessage { stream, stream_seq, attempt, received_us, body, envelope, verdict });
        }
    }

    #[tokio::test]
    async fn a_tap_sees_what_it_wants_counts_what_finds_no_room_and_ends_with_its_reader() {
        let taps = Arc::<Taps>::default();
        offer(&taps, 1);
        assert!(taps.offered().is_none(), "nobody looks");
        let mut reader = taps.open(Filter::default()).expect("a tap");
        let other = Filter { tenant: Some("acme".to_owned()), ..Filter::default() };
        let mut picky = taps.open(other).expect("a tap");
        (0..QUEUE as u64 + 3).for_each(|seq| offer(&taps, seq));
        assert_eq!((reader.dropped(), picky.dropped()), (3, 0));
        assert_eq!(reader.next(10).await.map(|samples| samples.len()), Some(10));
        assert_eq!(reader.next(usize::MAX).await.map(|samples| samples.len()), Some(QUEUE - 10));
        assert!(picky.samples.try_recv().is_err());
        drop((reader, picky));
        assert!(taps.offered().is_none());
    }

    #[test]
    fn only_so_many_are_open_at_once() {
        let taps = Arc::<Taps>::default();
        let open: Vec<Reader> = (0..MOST_TAPS).filter_map(|_| taps.open(Filter::default())).collect();
        assert_eq!((open.len(), taps.open(Filter::default()).is_none()), (MOST_TAPS, true));
        drop(open);
        assert!(taps.open(Filter::default()).is_some());
    }

    #[tokio::test]
    async fn the_end_of_the_node_ends_what_is_open_and_lets_none_be_opened() {
        let taps = Arc::<Taps>::default();
        let mut reader = taps.open(Filter::default()).expect("a tap");
        offer(&taps, 1);
        taps.end();
        assert_eq!(reader.next(9).await.map(|samples| samples.len()), Some(1), "what was offered before");
        assert_eq!(reader.next(9).await, None);
        assert!(taps.offered().is_none() && taps.open(Filter::default()).is_none());
    }
}
