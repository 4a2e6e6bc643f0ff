//! What the log was told already: the same is new once.

use std::collections::HashSet;

/// How much of a kind is told: names and sentences that come from outside.
pub(super) const MOST: usize = 50;

/// One tenant's new.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What waits for an operator, as it was told last.
    pub lasting: String,
    /// Columns whose values are left out.
    pub columns: Once,
    /// Tables without room for another column.
    pub full_tables: Once,
    /// Why lines were refused.
    pub refusals: Once,
    /// Whether the budget of columns is said to be spent.
    pub is_budget_spent: bool,
}

/// Things that are told once each, up to a bound.
#[derive(Debug, Default)]
pub(super) struct Once(HashSet<String>);

impl Once {
    /// Whether this is new, and may still be told.
    pub(super) fn is_new(&mut self, what: &str) -> bool {
        self.0.len() < MOST && !self.0.contains(what) && self.0.insert(what.to_owned())
    }

    /// It is over: next time it is new again.
    pub(super) fn forget(&mut self, what: &str) {
        self.0.remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_new_once_and_so_is_only_so_much() {
        let mut once = Once::default();
        assert!(once.is_new("a") && !once.is_new("a") && once.is_new("b"));
        once.forget("a");
        assert!(once.is_new("a"));
        assert_eq!((0..2 * MOST).filter(|number| once.is_new(&number.to_string())).count(), MOST - 2);
    }
}
