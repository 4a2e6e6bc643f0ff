//! The answer of a tap: lines of JSON, until the limit, the time, or the reader's end.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::{Instant, sleep, timeout_at};

use super::taps::Reader;

/// How long a tap stays open.
const LIFE: Duration = Duration::from_secs(600);
/// Pause after some samples: with the queue's size the most that a tap shows in a second, and so the most that it costs.
const PAUSE: Duration = Duration::from_millis(100);
/// A line without content this often: whoever has gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How far a tap has come.
struct Open {
    reader: Reader,
    /// Samples that are still wanted.
    left: usize,
    shown: usize,
    dropped: u64,
    ends_at: Instant,
    is_new: bool,
}

/// The lines: samples; `{"dropped":N}` where N messages so far found no room; an empty line now and then; and at the end
/// `{"end":"limit"|"time","samples":N,"dropped":N}`.
pub(super) fn lines(reader: Reader, limit: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let ends_at = Instant::now() + LIFE;
    let open = Open { reader, left: limit, shown: 0, dropped: 0, ends_at, is_new: true };
    unfold(Some(open), |open| async move {
        let mut open = open?;
        // The head of the answer goes out with its first line: the client knows that the tap is open.
        if std::mem::take(&mut open.is_new) {
            return Some((Ok(Bytes::from_static(b"\n")), Some(open)));
        }
        if open.left == 0 || Instant::now() >= open.ends_at {
            let end = if open.left == 0 { "limit" } else { "time" };
            let (shown, dropped) = (open.shown, open.reader.dropped());
            let line = format!("{{\"end\":\"{end}\",\"samples\":{shown},\"dropped\":{dropped}}}\n");
            return Some((Ok(line.into()), None));
        }
        let lines = open.next_lines().await;
        Some((Ok(lines.into()), Some(open)))
    })
}

impl Open {
    async fn next_lines(&mut self) -> String {
        if self.shown > 0 {
            sleep(PAUSE).await;
        }
        let until = (Instant::now() + SIGN_OF_LIFE).min(self.ends_at);
        let samples = timeout_at(until, self.reader.next(self.left)).await.unwrap_or_default();
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
        if lines.is_empty() { "\n".to_owned() } else { lines }
    }
}
