//! Bisection: which of many items is to blame for a refusal of all of them. The pure part: what is to be tried next.
//!
//! A piece that is accepted is done with. Of a piece that is refused, the items around the named one are tried next, or the
//! two halves where none is named, down to a single item, which is to blame itself.

use std::ops::Range;

/// The pieces of a list that are still to be tried, in the order of the list.
#[derive(Debug)]
pub(crate) struct Bisect {
    /// None of them is empty; the last is the next.
    open: Vec<Range<usize>>,
}

impl Bisect {
    /// All `count` items as one piece.
    pub(crate) fn new(count: usize) -> Self {
        let mut bisect = Self { open: Vec::new() };
        bisect.push(0..count);
        bisect
    }

    /// The next piece to be tried.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.open.pop()
    }

    /// A piece was refused, for its item number `named` (from the piece's start) where that is known: divides it further.
    /// Returns the item that is to blame, where only one can be.
    pub(crate) fn refused(&mut self, piece: &Range<usize>, named: Option<usize>) -> Option<usize> {
        let named = named.map(|at| piece.start + at).filter(|at| piece.contains(at));
        let (culprit, first, second) = match named.or((piece.len() == 1).then_some(piece.start)) {
            Some(at) => (Some(at), piece.start..at, at + 1..piece.end),
            None => {
                let middle = piece.start + piece.len() / 2;
                (None, piece.start..middle, middle..piece.end)
            }
        };
        self.push(second);
        self.push(first);
        culprit
    }

    /// Ends the search: the items of the pieces that [`Bisect::next`] has not returned yet.
    pub(crate) fn untried(self) -> impl Iterator<Item = usize> {
        self.open.into_iter().flatten()
    }

    fn push(&mut self, piece: Range<usize>) {
        if !piece.is_empty() {
            self.open.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_refusal(piece: Range<usize>, named: Option<usize>) -> (Option<usize>, Vec<(usize, usize)>) {
        let mut bisect = Bisect { open: Vec::new() };
        let culprit = bisect.refused(&piece, named);
        (culprit, std::iter::from_fn(|| bisect.next()).map(|piece| (piece.start, piece.end)).collect())
    }

    #[test]
    fn a_named_item_is_left_out_and_an_unnamed_one_is_looked_for_in_the_halves() {
        assert_eq!(after_refusal(10..20, Some(3)), (Some(13), vec![(10, 13), (14, 20)]));
        assert_eq!(after_refusal(10..20, Some(0)), (Some(10), vec![(11, 20)]));
        assert_eq!(after_refusal(10..20, Some(30)), (None, vec![(10, 15), (15, 20)]));
        assert_eq!(after_refusal(10..20, None), (None, vec![(10, 15), (15, 20)]));
        assert_eq!(after_refusal(10..11, None), (Some(10), vec![]));
    }

    #[test]
    fn all_culprits_are_found_and_every_other_item_is_accepted_once() {
        let is_bad = |item: usize| item % 100 == 7;
        let (mut bisect, mut accepted, mut culprits, mut tries) = (Bisect::new(1_000), Vec::new(), Vec::new(), 0);
        while let Some(piece) = bisect.next() {
            tries += 1;
            match piece.clone().any(is_bad) {
                true => culprits.extend(bisect.refused(&piece, None)),
                false => accepted.extend(piece),
            }
        }
        assert_eq!(accepted, (0..1_000).filter(|item| !is_bad(*item)).collect::<Vec<_>>());
        assert_eq!(culprits, (0..10).map(|hundred| 100 * hundred + 7).collect::<Vec<_>>());
        assert!(tries < 200, "{tries} tries");
    }

    #[test]
    fn nothing_is_tried_of_nothing_and_what_is_left_is_known() {
        assert_eq!(Bisect::new(0).next(), None);
        let mut bisect = Bisect::new(8);
        let all = bisect.next().unwrap_or_default();
        bisect.refused(&all, None);
        assert_eq!((bisect.next(), bisect.untried().collect::<Vec<_>>()), (Some(0..4), vec![4, 5, 6, 7]));
    }
}
