//! What tests and the server share: the store, the knobs, the counters.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::store::Store;
use super::{InfluxStubBuilder, lock};

/// What the stand-in has been asked and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Write requests, with any answer.
    pub requests: u64,
    /// Lines written, repeated ones included.
    pub lines_written: u64,
    /// Lines refused with an error of their own.
    pub lines_refused: u64,
    /// Lines with a repeated tag key: a real server takes them with 204 and breaks on them later. Must stay 0.
    pub poison_lines: u64,
    /// Write requests whose body came compressed.
    pub compressed_requests: u64,
    /// Lines without a timestamp, which get the server's clock: sent again they are other points. Must stay 0.
    pub untimed_lines: u64,
}

/// How the server behaves; tests turn these.
#[derive(Debug)]
pub(super) struct Knobs {
    pub latency: Duration,
    /// How many of the next writes fail, and how.
    pub failures: (usize, Failure),
    pub hanging: HashSet<String>,
    pub all_hanging: bool,
    /// The token that every request must bring; `None` = any or none will do.
    pub token: Option<String>,
    /// The largest body, where it is not the real server's.
    pub max_body: Option<usize>,
    /// What is durable is answered so often only, all at once.
    pub flush_interval: Duration,
    /// Whether it supports SQL.
    pub answers_queries: bool,
    /// A body with this text is refused as a whole, and no line is named.
    pub unreadable: Option<String>,
}

/// A failure that a test has requested.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure {
    pub status: u16,
    /// The body.
    pub body: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            failures: (0, Failure::default()),
            hanging: HashSet::new(),
            all_hanging: false,
            token: None,
            max_body: None,
            flush_interval: Duration::ZERO,
            answers_queries: true,
            unreadable: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub count_only: bool,
    started: Instant,
    journal: Option<Mutex<Journal>>,
    store: Mutex<Store>,
    knobs: Mutex<Knobs>,
    /// Which database was written to, and when.
    writes: Mutex<Vec<(String, Instant)>>,
    requests: AtomicU64,
    compressed_requests: AtomicU64,
    lines_written: AtomicU64,
    lines_refused: AtomicU64,
    poison_lines: AtomicU64,
    untimed_lines: AtomicU64,
}

impl Shared {
    pub(super) fn new(builder: &InfluxStubBuilder) -> Self {
        Self {
            count_only: builder.count_only,
            started: Instant::now(),
            journal: builder.journal.then(Mutex::default),
            store: Mutex::new(Store::new(builder.database_limit, builder.type_scope)),
            knobs: Mutex::new(Knobs { token: builder.token.clone(), ..Knobs::default() }),
            writes: Mutex::default(),
            requests: AtomicU64::new(0),
            compressed_requests: AtomicU64::new(0),
            lines_written: AtomicU64::new(0),
            lines_refused: AtomicU64::new(0),
            poison_lines: AtomicU64::new(0),
            untimed_lines: AtomicU64::new(0),
        }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(super) fn journal(&self) -> Option<MutexGuard<'_, Journal>> {
        self.journal.as_ref().map(lock)
    }

    pub(super) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        lock(&self.knobs)
    }

    /// Which database was written to, and when; in the order of the requests.
    pub(super) fn writes(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
        lock(&self.writes)
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_compressed(&self) {
        self.compressed_requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_lines(&self, written: usize, refused: usize, poison: usize, untimed: usize) {
        self.lines_written.fetch_add(written as u64, Ordering::Relaxed);
        self.lines_refused.fetch_add(refused as u64, Ordering::Relaxed);
        self.poison_lines.fetch_add(poison as u64, Ordering::Relaxed);
        self.untimed_lines.fetch_add(untimed as u64, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            compressed_requests: self.compressed_requests.load(Ordering::Relaxed),
            lines_written: self.lines_written.load(Ordering::Relaxed),
            lines_refused: self.lines_refused.load(Ordering::Relaxed),
            poison_lines: self.poison_lines.load(Ordering::Relaxed),
            untimed_lines: self.untimed_lines.load(Ordering::Relaxed),
        }
    }

    /// Takes one of the requested failures.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        let (left, failure) = &mut self.knobs().failures;
        *left = left.checked_sub(1)?;
        Some(failure.clone())
    }

    /// Waits for the next flush of the log, which comes at the same moment for all.
    pub(super) async fn next_flush(&self) {
        let interval = self.knobs().flush_interval;
        if !interval.is_zero() {
            let since = self.started.elapsed().as_nanos() % interval.as_nanos();
            tokio::time::sleep(interval - Duration::from_nanos(since as u64)).await;
        }
    }

    pub(super) fn hangs(&self, database: &str) -> bool {
        let knobs = self.knobs();
        knobs.all_hanging || knobs.hanging.contains(database)
    }
}
