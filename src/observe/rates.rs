//! Rates: how fast counters have moved since the reading before.

use std::collections::HashMap;
use std::time::Duration;

/// A reading that follows another sooner says nothing of a rate.
const SHORTEST: Duration = Duration::from_millis(100);

/// The counters of the reading before and of the one under way, with their rates. What is not read again is forgotten.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: HashMap<String, u64>,
    current: HashMap<String, (u64, Option<f64>)>,
    elapsed: Option<Duration>,
    is_between: bool,
}

impl Rates {
    /// Begins a reading, so long after the one before; `None` for the first.
    pub(super) fn begin(&mut self, elapsed: Option<Duration>) {
        self.before =
            std::mem::take(&mut self.current).into_iter().map(|(counter, (total, _))| (counter, total)).collect();
        self.elapsed = elapsed.filter(|elapsed| *elapsed >= SHORTEST);
        self.is_between = false;
    }

    /// Begins a reading out of turn, which repeats the rates of the last one.
    pub(super) fn begin_between(&mut self) {
        self.is_between = true;
    }

    /// Per second, since the reading before; `None` where that had no such counter, or one that was further.
    pub(super) fn of(&mut self, counter: String, total: u64) -> Option<f64> {
        if self.is_between {
            return self.current.get(&counter).and_then(|(_, rate)| *rate);
        }
        let moved = self.before.get(&counter).and_then(|before| total.checked_sub(*before));
        let rate = moved.zip(self.elapsed).map(|(moved, elapsed)| rounded(moved as f64 / elapsed.as_secs_f64()));
        self.current.insert(counter, (total, rate));
        rate
    }
}

/// As exact as people and plots need it.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_known_from_the_second_reading_on() {
        let mut rates = Rates::default();
        rates.begin(None);
        assert_eq!(rates.of("a".to_owned(), 100), None);
        rates.begin(Some(Duration::from_secs(2)));
        assert_eq!(rates.of("a".to_owned(), 105), Some(2.5));
        assert_eq!(rates.of("b".to_owned(), 1), None, "it is new");
        rates.begin_between();
        assert_eq!(rates.of("a".to_owned(), 1_000), Some(2.5), "that of the last reading in turn");
        rates.begin(Some(Duration::from_secs(1)));
        assert_eq!(rates.of("a".to_owned(), 1_105), Some(1_000.0));
    }

    #[test]
    fn a_counter_that_went_back_or_was_away_has_no_rate() {
        let mut rates = Rates::default();
        rates.begin(None);
        rates.of("a".to_owned(), 100);
        rates.begin(Some(Duration::from_secs(1)));
        assert_eq!(rates.of("a".to_owned(), 7), None);
        rates.begin(Some(Duration::from_secs(1)));
        rates.begin(Some(Duration::from_secs(1)));
        assert_eq!(rates.of("a".to_owned(), 9), None);
        rates.begin(Some(Duration::from_millis(1)));
        assert_eq!(rates.of("a".to_owned(), 19), None, "too soon");
    }
}
