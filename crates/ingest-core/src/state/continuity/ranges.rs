//! Ranges of numbers, in their order and without overlap.

/// Most ranges of a device: a device that loses every other message has that many within two hours at a message a minute.
const MAX_RANGES: usize = 64;

/// Ranges of missing numbers, both ends included, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// These ranges, as they were [listed](Ranges::iter). What is out of order is left out: nobody but the node writes them.
    pub fn listed(ranges: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut listed: Vec<(i64, i64)> = Vec::new();
        for (first, last) in ranges {
            if first <= last && listed.last().is_none_or(|before| before.1 < first) && listed.len() < MAX_RANGES {
                listed.push((first, last));
            }
        }
        Self(listed)
    }

    /// The ranges, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a range above all others; the lowest one, where there are too many now.
    pub(super) fn push(&mut self, first: i64, last: i64) -> Option<(i64, i64)> {
        self.0.push((first, last));
        self.drop_excess()
    }

    /// Takes a number out of the range that it is in; whether it was in any. Also the lowest range, where there are too many
    /// now.
    pub(super) fn remove(&mut self, number: i64) -> (bool, Option<(i64, i64)>) {
        let index = self.0.partition_point(|range| range.1 < number);
        let Some(&(first, last)) = self.0.get(index).filter(|range| range.0 <= number) else { return (false, None) };
        match (first == number, last == number) {
            (true, true) => drop(self.0.remove(index)),
            (true, false) => self.0[index].0 = number + 1,
            (false, true) => self.0[index].1 = number - 1,
            (false, false) => {
                self.0[index].1 = number - 1;
                self.0.insert(index + 1, (number + 1, last));
            }
        }
        (true, self.drop_excess())
    }

    /// How many numbers above `above` and up to `up_to` are in a range.
    pub(super) fn count(&self, above: i64, up_to: i64) -> i64 {
        self.0.iter().map(|range| overlap(*range, above, up_to)).sum()
    }

    fn drop_excess(&mut self) -> Option<(i64, i64)> {
        (self.0.len() > MAX_RANGES).then(|| self.0.remove(0))
    }
}

/// How many numbers of a range are above `above` and up to `up_to`.
pub(super) fn overlap((first, last): (i64, i64), above: i64, up_to: i64) -> i64 {
    (last.min(up_to) - first.max(above.saturating_add(1)) + 1).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leaves_its_range_from_either_end_and_from_its_middle() {
        let mut ranges = Ranges::listed([(3, 7), (10, 10)]);
        assert_eq!([2, 8, 11].map(|number| ranges.remove(number).0), [false; 3]);
        assert_eq!([3, 7, 5, 10].map(|number| ranges.remove(number).0), [true; 4]);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(4, 4), (6, 6)]);
        assert_eq!((ranges.count(0, 9), ranges.count(4, 9), ranges.count(0, 5)), (2, 1, 1));
    }

    #[test]
    fn the_lowest_range_makes_room() {
        let mut ranges = Ranges::default();
        for number in 0..MAX_RANGES as i64 {
            assert_eq!(ranges.push(number * 10, number * 10 + 4), None);
        }
        assert_eq!(ranges.push(1_000, 1_000), Some((0, 4)));
        assert_eq!(ranges.remove(12), (true, Some((10, 11))));
    }

    #[test]
    fn what_is_listed_in_disorder_is_left_out() {
        let ranges = Ranges::listed([(5, 9), (3, 4), (9, 12), (20, 19), (11, 12)]);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(5, 9), (11, 12)]);
    }
}
