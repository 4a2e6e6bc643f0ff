//! Log-once: what would repeat itself is logged the first time, and again only after it was over.

use std::collections::HashSet;

/// Keys (causes, subjects, columns) that are logged. Beyond the bound nothing is new: keys come from outside.
#[derive(Debug)]
pub(crate) struct LogOnce {
    logged: HashSet<String>,
    most: usize,
}

impl LogOnce {
    /// Nothing is logged yet; at most this many keys will be.
    pub(crate) fn new(most: usize) -> Self {
        Self { logged: HashSet::new(), most }
    }

    /// Whether this is new, and may still be logged.
    pub(crate) fn is_new(&mut self, key: &str) -> bool {
        self.logged.len() < self.most && !self.logged.contains(key) && self.logged.insert(key.to_owned())
    }

    /// What is logged now.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.logged.iter().cloned().collect()
    }

    /// This is over: the next time it is new again.
    pub(crate) fn forget(&mut self, key: &str) {
        self.logged.remove(key);
    }

    /// Forgets all where this many more could exceed the bound: what goes on is logged once more, and nothing is silent for good.
    pub(crate) fn reset_before(&mut self, more: usize) {
        if self.logged.len() + more > self.most {
            self.reset();
        }
    }

    /// All is over.
    pub(crate) fn reset(&mut self) {
        self.logged.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_new_once_and_so_is_only_so_much() {
        let mut once = LogOnce::new(50);
        assert!(once.is_new("a") && !once.is_new("a") && once.is_new("b"));
        once.forget("a");
        assert!(once.is_new("a"));
        assert_eq!((0..100).filter(|number| once.is_new(&number.to_string())).count(), 48);
        once.reset_before(0);
        assert!(!once.is_new("a"));
        once.reset_before(1);
        assert!(once.is_new("a"));
        once.reset();
        assert!(once.is_new("a"));
    }
}
