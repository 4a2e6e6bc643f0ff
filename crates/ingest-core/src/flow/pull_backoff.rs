//! Backoff for pull requests that the broker rejects, and when the lane is unready for it.

use std::time::Duration;

use crate::flow::backoff::delay_for_attempt;

/// Consecutive rejections from which on the lane is not ready.
const UNREADY_FROM: u64 = 2;
/// A request that the broker rejects at once is not sent again at once.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// An operator has to change a setting; that takes effect within this time.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The rejections since a request was last accepted.
#[derive(Debug, Default)]
pub struct PullBackoff {
    consecutive: u64,
    until_ms: u64,
}

impl PullBackoff {
    /// One more rejection; whether the lane is unready from now on.
    pub fn rejected(&mut self, now_ms: u64) -> bool {
        self.consecutive = self.consecutive.saturating_add(1);
        let delay = delay_for_attempt(self.consecutive, FIRST_DELAY, LONGEST_DELAY);
        self.until_ms = now_ms + delay.as_millis() as u64;
        self.consecutive >= UNREADY_FROM
    }

    /// A request was accepted: the broker sent a message or a heartbeat for it, or ended it normally.
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
    fn rejected_requests_are_sent_ever_less_often() {
        let mut backoff = PullBackoff::default();
        assert!(backoff.may_ask(0));
        assert!(!backoff.rejected(1_000), "a single one does not count");
        assert!(!backoff.may_ask(1_099));
        assert!(backoff.may_ask(1_100));
        assert!(backoff.rejected(1_100));
        assert!(!backoff.may_ask(1_299));
        (0..70).for_each(|_| assert!(backoff.rejected(2_000)));
        assert!(backoff.may_ask(7_000), "at most five seconds");
    }

    #[test]
    fn an_accepted_request_ends_the_row() {
        let mut backoff = PullBackoff::default();
        backoff.rejected(1_000);
        backoff.accepted();
        assert!(backoff.may_ask(1_000));
        assert!(!backoff.rejected(1_000));
    }
}
