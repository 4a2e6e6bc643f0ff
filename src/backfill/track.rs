//! How far a backfill has come: pages are confirmed in any order, the position moves only over those without a gap.

use std::collections::VecDeque;
use std::ops::AddAssign;

/// A place in the order of `raw_events`: behind the row with this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Column `received_at`, Unix microseconds.
    pub received_us: i64,
    /// Column `stream`.
    pub stream: String,
    /// Column `stream_seq`.
    pub stream_seq: i64,
}

impl Position {
    /// Before every row that the broker received at this moment, and behind all earlier ones.
    pub fn before(received_us: i64) -> Self {
        // PostgreSQL compares the keys: no text comes before the empty one, whatever the collation, and no stream's
        // name is empty.
        Self { received_us, stream: String::new(), stream_seq: 0 }
    }
}

/// A page: the rows behind one place, up to and with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Behind this one.
    pub after: Position,
    /// Up to and with this one.
    pub until: Position,
}

/// What rows have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows of the tenant.
    pub rows: u64,
    /// Of those, rows that make a point.
    pub points: u64,
    /// Points that the target has.
    pub written: u64,
    /// Points that it refused for good.
    pub refused: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.points += other.points;
        self.written += other.written;
        self.refused += other.refused;
    }
}

/// Pages in the order of their reading, and which of them are confirmed.
#[derive(Debug)]
pub struct Track {
    position: Position,
    confirmed: Tally,
    /// The number of the first page that the position is not behind.
    first: u64,
    pages: VecDeque<(Page, Option<Tally>)>,
}

impl Track {
    /// A track from this place on.
    pub fn new(position: Position) -> Self {
        Self { position, confirmed: Tally::default(), first: 0, pages: VecDeque::new() }
    }

    /// Appends a page; its number.
    pub fn begin(&mut self, page: Page) -> u64 {
        self.pages.push_back((page, None));
        self.first + self.pages.len() as u64 - 1
    }

    /// A page whose fate is open.
    pub fn page(&self, number: u64) -> Option<&Page> {
        let (page, tally) = self.pages.get(self.index(number)?)?;
        tally.is_none().then_some(page)
    }

    /// All of a page is confirmed; whether the position moves.
    pub fn confirm(&mut self, number: u64, tally: Tally) -> bool {
        let Some((_, open)) = self.index(number).and_then(|index| self.pages.get_mut(index)) else { return false };
        *open = Some(tally);
        let before = self.first;
        while let Some((_, Some(_))) = self.pages.front() {
            if let Some((page, Some(tally))) = self.pages.pop_front() {
                self.first += 1;
                self.position = page.until;
                self.confirmed += tally;
            }
        }
        self.first != before
    }

    /// Up to here everything is confirmed.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// What that comes to.
    pub fn confirmed(&self) -> Tally {
        self.confirmed
    }

    /// Where the next page begins.
    pub fn end(&self) -> &Position {
        self.pages.back().map_or(&self.position, |(page, _)| &page.until)
    }

    /// Pages that the position is not behind.
    pub fn open(&self) -> usize {
        self.pages.len()
    }

    fn index(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(received_us: i64) -> Position {
        Position::before(received_us)
    }

    fn page(after_us: i64, until_us: i64) -> Page {
        Page { after: at(after_us), until: at(until_us) }
    }

    fn tally(points: u64) -> Tally {
        Tally { rows: points, points, written: points, refused: 0 }
    }

    #[test]
    fn the_position_waits_for_the_page_that_is_missing() {
        let mut track = Track::new(at(0));
        let (first, second) = (track.begin(page(0, 10)), track.begin(page(10, 20)));
        assert_eq!((track.end(), track.open()), (&at(20), 2));
        assert!(!track.confirm(second, tally(7)));
        assert_eq!((track.position(), track.confirmed()), (&at(0), tally(0)));
        assert_eq!((track.page(first), track.page(second)), (Some(&page(0, 10)), None));
        assert!(track.confirm(first, tally(5)));
        assert_eq!((track.position(), track.confirmed(), track.open()), (&at(20), tally(12), 0));
    }

    #[test]
    fn a_page_that_the_position_is_behind_is_past() {
        let mut track = Track::new(at(0));
        let first = track.begin(page(0, 10));
        track.confirm(first, tally(5));
        assert_eq!(track.page(first), None);
        assert!(!track.confirm(first, tally(5)));
        assert_eq!((track.position(), track.confirmed()), (&at(10), tally(5)));
        assert_eq!(track.begin(page(10, 20)), 1);
    }

    proptest! {
        #[test]
        fn in_whatever_order_pages_are_confirmed_the_position_is_behind_the_longest_unbroken_run(
            order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
            begun_first in 1..20_usize,
        ) {
            let mut track = Track::new(at(0));
            let mut numbers = Vec::new();
            let mut done = [false; 20];
            let mut waiting = order.clone();
            while !waiting.is_empty() {
                // Reading goes on while earlier pages are being confirmed.
                let begun = (numbers.len() + begun_first).min(20);
                for page_index in numbers.len()..begun {
                    let from = page_index as i64 * 10;
                    numbers.push(track.begin(page(from, from + 10)));
                }
                let Some(next) = waiting.iter().position(|index| *index < begun) else { continue };
                let index = waiting.remove(next);
                let before = track.position().received_us;
                done[index] = true;
                let moves = track.confirm(numbers[index], tally(1 << index));
                let unbroken = done.iter().take_while(|done| **done).count();
                prop_assert_eq!(track.position(), &at(unbroken as i64 * 10));
                prop_assert_eq!(track.confirmed().written, (1 << unbroken) - 1);
                prop_assert_eq!(moves, track.position().received_us > before);
                prop_assert_eq!(track.open(), begun - unbroken);
            }
        }
    }
}
