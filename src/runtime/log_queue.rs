//! The queue of log lines in front of the log's thread: bounded, never waited for, and what it drops is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use slog::{Drain, Level, OwnedKVList, Record, b, record};
use slog_async::{AsyncCore, AsyncError};

/// Lines of this process that found no room. The log is older than the metrics, so it counts for itself.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines found no room.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The queue.
pub(super) struct LogQueue {
    core: AsyncCore,
    /// Dropped, and not said in the log yet.
    unreported: AtomicU64,
}

impl LogQueue {
    /// In front of this thread.
    pub(super) fn new(core: AsyncCore) -> Self {
        Self { core, unreported: AtomicU64::new(0) }
    }

    /// Says how many lines were dropped, as soon as there is room.
    fn report(&self, values: &OwnedKVList) -> Result<(), AsyncError> {
        let lines = self.unreported.swap(0, Ordering::Relaxed);
        if lines == 0 {
            return Ok(());
        }
        let words = format_args!("log lines were dropped, as the log is not read fast enough");
        let reported = self.core.log(&record!(Level::Error, "log", &words, b!("count" => lines)), values);
        if matches!(reported, Err(AsyncError::Full)) {
            self.unreported.fetch_add(lines, Ordering::Relaxed);
            return Ok(());
        }
        reported
    }
}

impl Drain for LogQueue {
    type Ok = ();
    type Err = AsyncError;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), AsyncError> {
        self.report(values)?;
        match self.core.log(record, values) {
            Err(AsyncError::Full) => {
                DROPPED.fetch_add(1, Ordering::Relaxed);
                self.unreported.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            logged => logged,
        }
    }
}
