//! A batch: the lines of one request in one piece of memory, and beside them whose they are.
//!
//! A line is copied once, when it arrives, into the body that will be sent; retries, halves and the lines that a server
//! refuses are all cut from that body.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use super::classify::RefusedLine;
use crate::delivery::pending_ack::PendingAck;
use crate::delivery::{DeliveryGuard, Origin};
use crate::message::Point;

/// What is kept of a point beside its line.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where its message came from.
    pub origin: Origin,
    /// The duty to end its delivery (policy `required`).
    pub guard: Option<DeliveryGuard>,
    /// Its part in what is on record (policy `best_effort`).
    pub owed: PendingAck,
    /// Bytes of its line, line feed included.
    len: u32,
}

/// A batch that still takes lines.
#[derive(Debug, Default)]
pub(super) struct Filling {
    body: BytesMut,
    entries: Vec<Entry>,
    since: Option<Instant>,
}

impl Filling {
    /// Adds a point.
    pub(super) fn push(&mut self, point: Point, now: Instant) {
        let Point { line, origin, guard, owed } = point;
        self.since.get_or_insert(now);
        self.body.put_slice(line.as_bytes());
        self.body.put_u8(b'\n');
        // A line is built from one message, whose size is bounded far below 4 GiB.
        self.entries.push(Entry { origin, guard, owed, len: line.len() as u32 + 1 });
    }

    /// Number of lines.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Size of the request so far.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// When its first line came; `None` while it is empty.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether deliveries wait for it.
    pub(super) fn is_required(&self) -> bool {
        is_required(&self.entries)
    }

    /// Closes it, where it holds anything; the next one is expected to grow as large.
    pub(super) fn seal(&mut self) -> Option<Batch> {
        let since = self.since.take()?;
        let capacity = self.entries.len();
        let entries = std::mem::replace(&mut self.entries, Vec::with_capacity(capacity));
        let body = self.body.split().freeze();
        self.body.reserve(body.len());
        Some(Batch { body, entries, since, failures: 0, written_before: 0 })
    }
}

/// The lines of one request. Never empty.
#[derive(Debug)]
pub(super) struct Batch {
    body: Bytes,
    entries: Vec<Entry>,
    since: Instant,
    /// How often it was tried in vain.
    pub failures: u32,
    /// How many requests its database had taken when it first failed, as far as it matters.
    pub written_before: u64,
}

impl Batch {
    /// The request's body; shares the memory.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Number of lines.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When its first line came.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Whether deliveries wait for it. They do for none with policy `best_effort`, else for all but those that are replayed.
    pub(super) fn is_required(&self) -> bool {
        is_required(&self.entries)
    }

    /// Ends the batch: what is left is whose the lines were.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Two batches of about half the lines; `None` is the second of a single line.
    pub(super) fn halve(self) -> (Batch, Option<Batch>) {
        let half = self.entries.len() / 2;
        self.split(half)
    }

    /// The first `lines` lines (one at least), and the others where there are any.
    pub(super) fn split(mut self, lines: usize) -> (Batch, Option<Batch>) {
        let lines = lines.max(1);
        if self.entries.len() <= lines {
            return (self, None);
        }
        let second = self.entries.split_off(lines);
        let cut = self.entries.iter().map(|entry| entry.len as usize).sum();
        let body = self.body.split_off(cut);
        let second = Batch { body, entries: second, ..self };
        (self, Some(second))
    }

    /// Its lines, in order. Lines are made of text: where one is not, it is taken for empty.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        let mut rest = &self.body[..];
        self.entries.iter().map(move |entry| {
            let (line, others) = rest.split_at(entry.len as usize);
            rest = others;
            std::str::from_utf8(&line[..line.len() - 1]).unwrap_or_default()
        })
    }

    /// Puts other lines in the place of some, by ascending index.
    pub(super) fn replace(mut self, lines: Vec<(usize, String)>) -> Self {
        let mut body = BytesMut::with_capacity(self.body.len());
        let (mut lines, mut start, mut unbroken) = (lines.into_iter().peekable(), 0, 0);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let end = start + entry.len as usize;
            if let Some((_, line)) = lines.next_if(|(other, _)| *other == index) {
                body.put_slice(&self.body[unbroken..start]);
                body.put_slice(line.as_bytes());
                body.put_u8(b'\n');
                entry.len = line.len() as u32 + 1;
                unbroken = end;
            }
            start = end;
        }
        body.put_slice(&self.body[unbroken..]);
        Self { body: body.freeze(), ..self }
    }

    /// Takes the refused lines out. What is left may be empty and is returned as a batch only if it is not.
    pub(super) fn take(self, refused: Vec<RefusedLine>) -> (Vec<(Point, RefusedLine)>, Option<Batch>) {
        let since = self.since;
        let mut refused = refused.into_iter().peekable();
        let mut out = Vec::with_capacity(refused.len());
        let mut kept = Vec::with_capacity(self.entries.len() - refused.len().min(self.entries.len()));
        let mut body = BytesMut::new();
        let mut start = 0;
        let mut unbroken = 0;
        for (index, entry) in self.entries.into_iter().enumerate() {
            let end = start + entry.len as usize;
            if let Some(refusal) = refused.next_if(|refusal| refusal.index == index) {
                body.put_slice(&self.body[unbroken..start]);
                unbroken = end;
                let line = String::from_utf8_lossy(&self.body[start..end - 1]).into_owned();
                out.push((Point { line, origin: entry.origin, guard: entry.guard, owed: entry.owed }, refusal));
            } else {
                kept.push(entry);
            }
            start = end;
        }
        body.put_slice(&self.body[unbroken..]);
        let rest = (!kept.is_empty()).then(|| Batch {
            body: body.freeze(),
            entries: kept,
            since,
            failures: 0,
            written_before: 0,
        });
        (out, rest)
    }
}

fn is_required(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.guard.is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::influx::classify::Cause;

    fn point(line: &str, stream_seq: u64) -> Point {
        let origin = Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 0 };
        Point { line: line.to_owned(), origin, guard: None, owed: PendingAck::default() }
    }

    fn batch(lines: &[String]) -> Option<Batch> {
        let mut filling = Filling::default();
        for (seq, line) in lines.iter().enumerate() {
            filling.push(point(line, seq as u64), Instant::now());
        }
        filling.seal()
    }

    /// Each line with the sequence number that came with it, as the batch would send and account for them.
    fn content(batch: Option<Batch>) -> Vec<(String, u64)> {
        let Some(batch) = batch else { return Vec::new() };
        let text = String::from_utf8(batch.body().to_vec()).unwrap();
        let lines: Vec<_> = text.split_terminator('\n').map(str::to_owned).collect();
        assert_eq!(lines.len(), batch.len());
        lines.into_iter().zip(batch.into_entries().into_iter().map(|entry| entry.origin.stream_seq)).collect()
    }

    #[test]
    fn a_sealed_batch_is_its_lines_each_ended_by_a_line_feed() {
        let mut filling = Filling::default();
        assert!(filling.seal().is_none());
        filling.push(point("a v=1 1", 7), Instant::now());
        filling.push(point("b v=2 2", 8), Instant::now());
        assert_eq!((filling.len(), filling.bytes()), (2, 16));
        let sealed = filling.seal().unwrap();
        assert_eq!(&sealed.body()[..], b"a v=1 1\nb v=2 2\n");
        assert_eq!((filling.len(), filling.bytes(), filling.since()), (0, 0, None));
        filling.push(point("c v=3 3", 9), Instant::now());
        assert_eq!(content(filling.seal()), [("c v=3 3".to_owned(), 9)]);
    }

    #[test]
    fn lines_are_replaced_where_they_stand() {
        let lines = ["a v=1 1", "b v=2 2", "c v=3 3"].map(str::to_owned);
        let replaced = batch(&lines).unwrap().replace(vec![(0, "x".into()), (2, "yy yy yy yy".into())]);
        assert_eq!(replaced.lines().collect::<Vec<_>>(), ["x", "b v=2 2", "yy yy yy yy"]);
        assert_eq!(content(Some(replaced)), [("x".into(), 0), ("b v=2 2".into(), 1), ("yy yy yy yy".into(), 2)]);
    }

    #[test]
    fn a_single_line_has_no_second_half() {
        let (first, second) = batch(&["a v=1 1".to_owned()]).unwrap().halve();
        assert!(second.is_none());
        assert_eq!(first.len(), 1);
    }

    proptest! {
        #[test]
        fn halves_together_are_the_whole(lines in prop::collection::vec("[a-zé ]{0,9}", 2..40)) {
            let whole = content(batch(&lines));
            let (first, second) = batch(&lines).unwrap().halve();
            prop_assert!(first.len().abs_diff(second.as_ref().map_or(0, Batch::len)) <= 1);
            let mut both = content(Some(first));
            both.extend(content(second));
            prop_assert_eq!(both, whole);
        }

        #[test]
        fn a_part_and_the_rest_are_the_whole(
            lines in prop::collection::vec("[a-zé ]{0,9}", 1..40),
            first in 0..50_usize,
        ) {
            let (part, rest) = batch(&lines).unwrap().split(first);
            prop_assert_eq!(part.len(), first.clamp(1, lines.len()));
            let mut both = content(Some(part));
            both.extend(content(rest));
            prop_assert_eq!(both, content(batch(&lines)));
        }

        #[test]
        fn refused_lines_and_the_rest_are_the_whole_and_keep_their_owners(
            lines in prop::collection::vec(("[a-zé ]{0,9}", any::<bool>()), 1..40),
        ) {
            let (texts, refused): (Vec<String>, Vec<bool>) = lines.into_iter().unzip();
            let whole = content(batch(&texts));
            let refusals = (0..texts.len())
                .filter(|&index| refused[index])
                .map(|index| RefusedLine { index, message: index.to_string(), cause: Cause::Line })
                .collect();
            let (out, rest) = batch(&texts).unwrap().take(refusals);
            for (point, refusal) in &out {
                prop_assert_eq!(&point.line, &texts[refusal.index]);
                prop_assert_eq!(point.origin.stream_seq, refusal.index as u64);
            }
            let mut all: Vec<_> = out.into_iter().map(|(point, _)| (point.line, point.origin.stream_seq)).collect();
            all.extend(content(rest));
            all.sort_by_key(|(_, seq)| *seq);
            prop_assert_eq!(all, whole);
        }
    }
}
