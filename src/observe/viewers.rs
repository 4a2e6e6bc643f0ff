//! Who watches: a bounded number of streams, each with a short queue. One that does not read is dropped, and holds up nobody.

use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::snapshot;
use crate::metrics::ConsoleMetrics;
use crate::runtime::connections::Held;

/// Most streams at once.
const MOST: usize = 16;
/// Messages that wait for a viewer beside what its connection holds; all viewers share each of them.
const QUEUE: usize = 4;
/// A stream ends after this time, and its viewer comes again, with a session that still holds.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The streams; none once the node ends.
#[derive(Debug)]
pub(super) struct Viewers {
    streams: Mutex<Option<Vec<Stream>>>,
    metrics: ConsoleMetrics,
}

#[derive(Debug)]
struct Stream {
    messages: Sender<Bytes>,
    since: Instant,
    /// Its connection, where it is one that can be closed.
    connection: Option<Held>,
}

/// Why somebody can't watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum NotAdmitted {
    /// As many as can be are watching.
    #[error("{MOST} viewers are watching already, and no more can")]
    TooMany,
    /// The process ends.
    #[error("the node is ending")]
    Ending,
}

impl Viewers {
    /// Nobody watches yet.
    pub(super) fn new(metrics: ConsoleMetrics) -> Self {
        Self { streams: Mutex::new(Some(Vec::new())), metrics }
    }

    /// Admits a viewer, whose stream begins with this message. Its connection is taken where it is admitted.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn admit(
        &self,
        first: Bytes,
        connection: impl FnOnce() -> Option<Held>,
        now: Instant,
    ) -> Result<Receiver<Bytes>, NotAdmitted> {
        let mut streams = self.streams.lock();
        let streams = streams.as_mut().ok_or(NotAdmitted::Ending)?;
        streams.retain(|stream| !stream.messages.is_closed());
        if streams.len() >= MOST {
            return Err(NotAdmitted::TooMany);
        }
        let (messages, received) = channel(QUEUE);
        // The queue is new, and has room.
        let _ = messages.try_send(first);
        streams.push(Stream { messages, since: now, connection: connection() });
        self.metrics.viewers.set(streams.len() as i64);
        Ok(received)
    }

    /// Sends everybody a message, which is made only where somebody watches. Whoever has not taken the last ones is dropped.
    pub(super) fn send(&self, message: impl FnOnce() -> Bytes, now: Instant) {
        let mut streams = self.streams.lock();
        let Some(streams) = streams.as_mut().filter(|streams| !streams.is_empty()) else { return };
        let message = message();
        streams.retain(|stream| {
            if now.saturating_duration_since(stream.since) >= LONGEST {
                return false;
            }
            let sent = stream.messages.try_send(message.clone());
            if matches!(sent, Err(TrySendError::Full(_))) {
                self.metrics.viewers_dropped.inc();
                stream.connection.iter().for_each(Held::close);
            }
            sent.is_ok()
        });
        self.metrics.viewers.set(streams.len() as i64);
    }

    /// Ends all streams: what was sent is still read, and nobody is admitted any more.
    pub(super) fn end(&self) {
        self.streams.lock().take();
        self.metrics.viewers.set(0);
    }

    /// How many watch.
    pub(super) fn count(&self) -> snapshot::Viewers {
        let watching = self.streams.lock().as_ref().map_or(0, Vec::len);
        snapshot::Viewers { watching: watching as u64, max: MOST as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn message() -> Bytes {
        Bytes::from_static(b"data: 1\n\n")
    }

    #[test]
    fn no_more_than_sixteen_watch_and_who_leaves_makes_room() {
        let (viewers, now) = (Viewers::new(Metrics::new().console.clone()), Instant::now());
        let mut watching: Vec<_> = (0..MOST).map(|_| viewers.admit(message(), || None, now).unwrap()).collect();
        let no_room = viewers.admit(message(), || unreachable!("its connection stays as it is"), now).err();
        assert_eq!(no_room, Some(NotAdmitted::TooMany));
        assert_eq!(no_room.unwrap().to_string(), "16 viewers are watching already, and no more can");
        watching.pop();
        assert!(viewers.admit(message(), || None, now).is_ok());
    }

    #[test]
    fn a_viewer_that_does_not_read_is_dropped_and_the_others_go_on() {
        let metrics = Metrics::new();
        let (viewers, now) = (Viewers::new(metrics.console.clone()), Instant::now());
        let mut reads = viewers.admit(message(), || None, now).unwrap();
        let mut stuck = viewers.admit(message(), || None, now).unwrap();
        for _ in 0..QUEUE {
            viewers.send(message, now);
            assert!(reads.try_recv().is_ok());
        }
        assert_eq!((viewers.count().watching, metrics.console.viewers_dropped.get()), (1, 1));
        let queued = std::iter::from_fn(|| stuck.try_recv().ok()).count();
        assert!(queued == QUEUE && stuck.try_recv().is_err());
        viewers.send(message, now + LONGEST);
        assert_eq!((viewers.count().watching, metrics.console.viewers.get()), (0, 0), "it comes again");
        viewers.send(|| unreachable!("nobody watches"), now);
    }

    #[test]
    fn the_end_lets_viewers_read_what_was_sent_and_admits_nobody() {
        let (viewers, now) = (Viewers::new(Metrics::new().console.clone()), Instant::now());
        let mut reads = viewers.admit(message(), || None, now).unwrap();
        viewers.send(message, now);
        viewers.end();
        let read = std::iter::from_fn(|| reads.blocking_recv()).count();
        assert_eq!(read, 2, "and then its end");
        assert_eq!(viewers.admit(message(), || None, now).err(), Some(NotAdmitted::Ending));
    }
}
