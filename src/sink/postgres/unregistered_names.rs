//! Tenants without a registered device that are counted by name all the same: those whose first device found no room in a
//! subscription. Bounded, because senders choose names.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;

/// Minutes whose counts are remembered: redeliveries and the lanes' different lags make them overlap a little.
pub(super) const MINUTES_REMEMBERED: usize = 60;

/// Names that one minute has counters for; the others are counted for `unknown`.
const NAMES_PER_MINUTE: usize = 100;

/// The names of the last minutes, as keyed hashes: they are as long as strangers make them.
#[derive(Debug, Default)]
pub(super) struct UnregisteredNames {
    minutes: BTreeMap<i64, HashSet<u64>>,
    hasher: RandomState,
}

impl UnregisteredNames {
    /// Whether the minute knows the name or has room for it. Minutes that are forgotten have none.
    pub(super) fn admit(&mut self, minute: i64, tenant: &str) -> bool {
        let is_full = self.minutes.len() >= MINUTES_REMEMBERED && !self.minutes.contains_key(&minute);
        if is_full {
            if self.minutes.first_key_value().is_some_and(|(oldest, _)| minute < *oldest) {
                return false;
            }
            self.minutes.pop_first();
        }
        let name = self.hasher.hash_one(tenant);
        let names = self.minutes.entry(minute).or_default();
        names.contains(&name) || names.len() < NAMES_PER_MINUTE && names.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_knows_only_so_many_names() {
        let mut names = UnregisteredNames::default();
        let admitted = (0..1_000).filter(|number: &i32| names.admit(7, &number.to_string())).count();
        assert_eq!(admitted, NAMES_PER_MINUTE);
        assert!(names.admit(7, "0") && !names.admit(7, "one more") && names.admit(8, "one more"));
    }

    #[test]
    fn old_minutes_are_forgotten_and_have_no_names() {
        let mut names = UnregisteredNames::default();
        assert!((100..200).all(|minute| names.admit(minute, "a")));
        assert_eq!(names.minutes.len(), MINUTES_REMEMBERED);
        assert!(!names.admit(100, "a") && names.admit(199, "b"));
    }
}
