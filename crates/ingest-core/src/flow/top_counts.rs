//! Space-saving counter: the most frequent names of a stream of them, in bounded memory (Metwally, Agrawal and El Abbadi:
//! "Efficient computation of frequent and top-k elements in data streams", 2005).
//!
//! Of `n` names counted, every one that came more than `n / capacity` times is among those kept.

/// The counter.
#[derive(Clone, Debug)]
pub struct TopCounts {
    capacity: usize,
    kept: Vec<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    name: String,
    /// Never less than how often it came.
    count: u64,
    /// How much of that may be of the names whose place it took.
    excess: u64,
}

/// How often a name came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a> {
    /// The name.
    pub name: &'a str,
    /// It came so often, if not more often.
    pub at_least: u64,
    /// Not more often.
    pub is_exact: bool,
}

impl TopCounts {
    /// A counter that keeps so many names, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), kept: Vec::new() }
    }

    /// Counts a name once more. One that is not kept takes the place of the rarest.
    pub fn count(&mut self, name: &str) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.name == name) {
            kept.count += 1;
        } else if self.kept.len() < self.capacity {
            self.kept.push(Kept { name: name.to_owned(), count: 1, excess: 0 });
        } else if let Some(rarest) = self.kept.iter_mut().min_by_key(|kept| kept.count) {
            name.clone_into(&mut rarest.name);
            rarest.excess = rarest.count;
            rarest.count += 1;
        }
    }

    /// The names that came most often, the most frequent first; of equal ones the first by name.
    pub fn top(&self, most: usize) -> Vec<Count<'_>> {
        let mut top: Vec<Count<'_>> = self.kept.iter().map(Kept::certain).collect();
        top.sort_unstable_by(|one, other| other.at_least.cmp(&one.at_least).then(one.name.cmp(other.name)));
        top.truncate(most);
        top
    }

    /// How many names are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Kept {
    fn certain(&self) -> Count<'_> {
        Count { name: &self.name, at_least: self.count - self.excess, is_exact: self.excess == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_there_is_room_every_count_is_exact() {
        let mut counts = TopCounts::new(3);
        ["b", "a", "b", "c"].iter().for_each(|name| counts.count(name));
        let top: Vec<_> = counts.top(2).into_iter().map(|count| (count.name, count.at_least, count.is_exact)).collect();
        assert_eq!(top, [("b", 2, true), ("a", 1, true)]);
    }

    #[test]
    fn one_of_many_rare_names_does_not_hide_the_frequent_one() {
        let mut counts = TopCounts::new(4);
        for number in 0..1_000 {
            counts.count("frequent");
            counts.count(&number.to_string());
        }
        let top = counts.top(1)[0];
        assert_eq!((top.name, top.at_least, top.is_exact, counts.len()), ("frequent", 1_000, true, 4));
    }
}
