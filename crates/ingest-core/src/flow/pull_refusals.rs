//! Pull requests that the broker refuses: how long to wait before the next one, and when the lane counts as not working.

use std::time::Duration;

use crate::flow::backoff::delay_for_attempt;

/// Refusals in a row from which on the lane is not ready.
const UNREADY_FROM: u64 = 2;
/// A request that the broker refuses at once is not asked again at once.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Somebody has to change a setting; that is noticed soon enough.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The refusals since a request was last accepted.
#[derive(Debug, Default)]
pub struct PullRefusals {
    in_a_row: u64,
    until_ms: u64,
}

impl PullRefusals {
    /// One more; whether the lane does not work from now on.
    pub fn refused(&mut self, now_ms: u64) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let delay = delay_for_attempt(self.in_a_row, FIRST_DELAY, LONGEST_DELAY);
        self.until_ms = now_ms + delay.as_millis() as u64;
        self.in_a_row >= UNREADY_FROM
    }

    /// A request was accepted: the broker sent a message or a heartbeat for it, or ended it in the ordinary way.
    pub fn accepted(&mut self) {
        *self = Self::default();
    }

    /// Whether a request may be sent now.
    pub fn may_ask(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_requests_are_sent_ever_less_often() {
        let mut refusals = PullRefusals::default();
        assert!(refusals.may_ask(0));
        assert!(!refusals.refused(1_000), "one may be chance");
        assert!(!refusals.may_ask(1_099));
        assert!(refusals.may_ask(1_100));
        assert!(refusals.refused(1_100));
        assert!(!refusals.may_ask(1_299));
        (0..70).for_each(|_| assert!(refusals.refused(2_000)));
        assert!(refusals.may_ask(7_000), "at most five seconds");
    }

    #[test]
    fn an_accepted_request_ends_the_row() {
        let mut refusals = PullRefusals::default();
        refusals.refused(1_000);
        refusals.accepted();
        assert!(refusals.may_ask(1_000));
        assert!(!refusals.refused(1_000));
    }
}
