//! How far a backfill has come: pages are confirmed in any order, the position moves only over those without a gap.

use std::collections::{BTreeSet, VecDeque};
use std::ops::AddAssign;

/// A place in the order of `raw_events`: behind the row with this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Column `received_at`, Unix microseconds.
    pub received_us: i64,
    /// Column `stream`.
    pub stream: String,
    /// Column `stream_seq`.
    pub stream_seq: i64,
}

impl Position {
    /// Before every row that the broker received at this moment, and behind all earlier ones.
    pub(super) fn before(received_us: i64) -> Self {
        // PostgreSQL compares the keys: no text comes before the empty one, whatever the collation, and no stream's
        // name is empty.
        Self { received_us, stream: String::new(), stream_seq: 0 }
    }
}

/// A page: the rows behind one place, up to and with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Behind this one.
    pub after: Position,
    /// Up to and with this one.
    pub until: Position,
}

/// What rows have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rows of the tenant.
    pub rows: u64,
    /// Of those, rows that make a point.
    pub points: u64,
    /// Points that the target has.
    pub written: u64,
    /// Points that it refused for good.
    pub refused: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.points += other.points;
        self.written += other.written;
        self.refused += other.refused;
    }
}

/// What is to be read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The page behind this place, which was not read yet.
    Behind(Position),
    /// A page that was lost on its way.
    Again(u64, Page),
}

/// Pages in the order of their reading, and which of them are confirmed.
#[derive(Debug)]
pub(super) struct Track {
    position: Position,
    goal: Position,
    /// Most pages that the position is not behind.
    most_open: usize,
    confirmed: Counts,
    /// The number of the first page that the position is not behind.
    first: u64,
    pages: VecDeque<(Page, Option<Counts>)>,
    /// Pages that are to be read again.
    lost: VecDeque<u64>,
    /// Pages that were lost and are not confirmed yet.
    missing: BTreeSet<u64>,
}

impl Track {
    /// A track from one place to another.
    pub(super) fn new(position: Position, goal: Position, most_open: usize) -> Self {
        let (confirmed, pages, lost, missing) = Default::default();
        Self { position, goal, most_open, confirmed, first: 0, pages, lost, missing }
    }

    /// What is to be read next: what was lost comes first, as the position waits for it. `None` while too much is open,
    /// and at the end.
    pub(super) fn next(&self) -> Option<Next> {
        if let Some(number) = self.lost.front() {
            let (page, _) = self.pages.get(self.index(*number)?)?;
            return Some(Next::Again(*number, page.clone()));
        }
        let read_to = self.pages.back().map_or(&self.position, |(page, _)| &page.until);
        (*read_to != self.goal && self.pages.len() < self.most_open).then(|| Next::Behind(read_to.clone()))
    }

    /// A page is on its way for the first time; its number.
    pub(super) fn begin(&mut self, page: Page) -> u64 {
        self.pages.push_back((page, None));
        self.first + self.pages.len() as u64 - 1
    }

    /// A page that was lost is on its way again.
    pub(super) fn begin_again(&mut self, number: u64) {
        self.lost.retain(|lost| *lost != number);
    }

    /// A page was lost on its way.
    pub(super) fn lose(&mut self, number: u64) {
        self.lost.push_back(number);
        self.missing.insert(number);
    }

    /// All of a page is confirmed: the position moves, unless an earlier one is missing.
    pub(super) fn confirm(&mut self, number: u64, counts: Counts) {
        self.missing.remove(&number);
        if let Some((_, open)) = self.index(number).and_then(|index| self.pages.get_mut(index)) {
            *open = Some(counts);
        }
        let unbroken = self.pages.iter().take_while(|(_, counts)| counts.is_some()).count();
        for (page, counts) in self.pages.drain(..unbroken) {
            self.first += 1;
            self.position = page.until;
            self.confirmed += counts.unwrap_or_default();
        }
    }

    /// Up to here everything is confirmed.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// What that comes to.
    pub(super) fn confirmed(&self) -> Counts {
        self.confirmed
    }

    /// Whether everything is confirmed.
    pub(super) fn is_done(&self) -> bool {
        self.position == self.goal
    }

    /// Whether nothing that was lost is still missing.
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty()
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

    fn counts(points: u64) -> Counts {
        Counts { rows: points, points, written: points, refused: 0 }
    }

    #[test]
    fn the_position_waits_for_the_page_that_is_missing() {
        let mut track = Track::new(at(0), at(30), 9);
        let (first, second) = (track.begin(page(0, 10)), track.begin(page(10, 20)));
        assert_eq!(track.next(), Some(Next::Behind(at(20))));
        track.confirm(second, counts(7));
        assert_eq!((track.position(), track.confirmed()), (&at(0), counts(0)));
        track.confirm(first, counts(5));
        assert_eq!((track.position(), track.confirmed()), (&at(20), counts(12)));
        let last = track.begin(page(20, 30));
        assert_eq!((track.next(), track.is_done()), (None, false));
        track.confirm(last, counts(1));
        assert!(track.is_done());
    }

    #[test]
    fn a_lost_page_is_next_however_much_is_open() {
        let mut track = Track::new(at(0), at(90), 2);
        let (first, second) = (track.begin(page(0, 10)), track.begin(page(10, 20)));
        assert_eq!(track.next(), None, "as much is open as may be");
        track.confirm(second, counts(7));
        track.lose(first);
        assert_eq!(track.next(), Some(Next::Again(first, page(0, 10))));
        track.begin_again(first);
        assert_eq!((track.next(), track.is_whole()), (None, false));
        track.confirm(first, counts(5));
        assert_eq!((track.next(), track.is_whole()), (Some(Next::Behind(at(20))), true));
        assert_eq!(track.confirmed(), counts(12));
    }

    proptest! {
        /// Each step ends a page by chance: one of those on their way, well or not.
        #[test]
        fn whatever_is_lost_on_the_way_the_position_never_passes_it_and_all_is_counted_once(
            steps in prop::collection::vec((any::<usize>(), prop::bool::weighted(0.3)), 1..200),
            most_open in 1..9_usize,
        ) {
            const PAGES: i64 = 20;
            let mut track = Track::new(at(0), at(PAGES), most_open);
            let mut flying = Vec::new();
            let mut confirmed = std::collections::BTreeSet::new();
            // Chance first; then all goes well.
            let well = (0, false);
            for (chosen, is_lost) in steps.into_iter().chain(std::iter::repeat_n(well, 2 * PAGES as usize)) {
                while let Some(next) = track.next() {
                    match next {
                        Next::Behind(place) => flying.push(track.begin(page(place.received_us, place.received_us + 1))),
                        Next::Again(number, again) => {
                            prop_assert_eq!(again, page(number as i64, number as i64 + 1));
                            track.begin_again(number);
                            flying.push(number);
                        }
                    }
                }
                if flying.is_empty() {
                    break;
                }
                let number = flying.swap_remove(chosen % flying.len());
                if is_lost {
                    track.lose(number);
                } else {
                    prop_assert!(confirmed.insert(number), "page {} was on its way twice", number);
                    track.confirm(number, counts(1 << number));
                }
                let unbroken = (0..).take_while(|number| confirmed.contains(number)).count();
                prop_assert_eq!(track.position(), &at(unbroken as i64));
                prop_assert_eq!(track.confirmed().written, (1 << unbroken) - 1);
            }
            prop_assert!(track.is_done() && track.is_whole());
        }
    }
}
