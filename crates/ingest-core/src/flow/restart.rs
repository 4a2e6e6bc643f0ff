//! Restart budget: how often the actor tree may be rebuilt before the process exits.

use std::collections::VecDeque;

/// Most restarts within a time window.
#[derive(Debug)]
pub struct Budget {
    restarts: u32,
    window_ms: u64,
    spent_ms: VecDeque<u64>,
}

impl Budget {
    /// `restarts` within any `window_ms`.
    pub fn new(restarts: u32, window_ms: u64) -> Self {
        Self { restarts, window_ms, spent_ms: VecDeque::new() }
    }

    /// Takes one restart; `false` where none is left.
    pub fn spend(&mut self, now_ms: u64) -> bool {
        while self.spent_ms.front().is_some_and(|spent| now_ms.saturating_sub(*spent) >= self.window_ms) {
            self.spent_ms.pop_front();
        }
        self.spent_ms.push_back(now_ms);
        self.spent_ms.len() <= self.restarts as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_n_restarts_in_t() {
        let mut budget = Budget::new(2, 100);
        assert!(budget.spend(0));
        assert!(budget.spend(10));
        assert!(!budget.spend(20));
        assert!(budget.spend(120), "restarts older than the window do not count");
    }
}
