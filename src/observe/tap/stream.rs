//! The answer of a tap: lines of JSON, until the limit, the time, or the reader's end.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::taps::Reader;
use crate::runtime::connections::Held;

/// How long a tap stays open.
const LIFE: Duration = Duration::from_secs(600);
/// Pause after some samples: with the queue's size the most that a tap shows in a second, and so the most that it costs.
const PAUSE: Duration = Duration::from_millis(100);
/// A line without content this often: whoever has gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time after its life within which its last lines must have gone out; then its connection is closed.
const GRACE: Duration = Duration::from_secs(10);

/// How far a tap has come.
struct Open {
    reader: Reader,
    /// Samples that are still wanted.
    left: usize,
    shown: usize,
    dropped: u64,
    ends_at: Instant,
    is_new: bool,
    _closing: Option<Closing>,
}

/// Closes a connection whose peer does not read; dropped with the answer.
struct Closing(JoinHandle<()>);

impl Closing {
    fn of(connection: Held) -> Self {
        Self(actix_rt::spawn(async move {
            sleep(LIFE + GRACE).await;
            connection.close();
        }))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The lines: samples; `{"dropped":N}` where N messages so far found no room; an empty line now and then; and at the end
/// `{"end":"limit"|"time"|"drain","samples":N,"dropped":N}`. The connection is held for as long.
pub(super) fn lines(
    reader: Reader,
    limit: usize,
    connection: Option<Held>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let (ends_at, closing) = (Instant::now() + LIFE, connection.map(Closing::of));
    let open = Open { reader, left: limit, shown: 0, dropped: 0, ends_at, is_new: true, _closing: closing };
    unfold(Some(open), |open| async move {
        let mut open = open?;
        // The head of the answer goes out with its first line: the client knows that the tap is open.
        if std::mem::take(&mut open.is_new) {
            return Some((Ok(Bytes::from_static(b"\n")), Some(open)));
        }
        let ended = match (open.left, Instant::now() >= open.ends_at) {
            (0, _) => "limit",
            (_, true) => "time",
            (_, false) => match open.next_lines().await {
                Some(lines) => return Some((Ok(lines.into()), Some(open))),
                None => "drain",
            },
        };
        let (shown, dropped) = (open.shown, open.reader.dropped());
        let line = format!("{{\"end\":\"{ended}\",\"samples\":{shown},\"dropped\":{dropped}}}\n");
        Some((Ok(line.into()), None))
    })
}

impl Open {
    /// `None` once the node ends.
    async fn next_lines(&mut self) -> Option<String> {
        if self.shown > 0 {
            sleep(PAUSE).await;
        }
        let until = (Instant::now() + HEARTBEAT).min(self.ends_at);
        let samples = match timeout_at(until, self.reader.next(self.left)).await {
            Ok(samples) => samples?,
            Err(_) => Vec::new(),
        };
        self.left -= samples.len().min(self.left);
        self.shown += samples.len();
        let mut lines = String::new();
        for sample in samples {
            lines.extend([sample.as_str(), "\n"]);
        }
        let dropped = self.reader.dropped();
        if dropped > self.dropped {
            self.dropped = dropped;
            lines += &format!("{{\"dropped\":{dropped}}}\n");
        }
        Some(if lines.is_empty() { "\n".to_owned() } else { lines })
    }
}
