//! Exponential backoff with jitter.

use std::time::Duration;

/// Exponential backoff: each delay is up to twice the one before, a random share between half and all of it (jitter), so
/// that clients which failed together do not retry together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    failures: u64,
}

impl Backoff {
    /// The first delay and the longest one.
    pub const fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms, max_ms, failures: 0 }
    }

    /// The delay after one more failure. `random` is a random number from 0 to 1.
    pub fn next(&mut self, random: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest =
            delay_for_attempt(self.failures, Duration::from_millis(self.first_ms), Duration::from_millis(self.max_ms));
        // A comparison with NaN is false, so the result is always within the range.
        let random = if random > 0.0 { random.min(1.0) } else { 0.0 };
        longest.mul_f64(0.5 + 0.5 * random)
    }

    /// Failures since the beginning or the last success.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// After a success: the next failure is the first again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The delay that follows a failed attempt (the first is 1, as the broker counts deliveries): `first`, doubled for
/// every further one, at most `max`. Without jitter, as each message has a delay of its own.
pub fn delay_for_attempt(attempt: u64, first: Duration, max: Duration) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<u128> = (0..9).map(|attempt| delay_for_attempt(attempt, FIRST, MAX).as_millis()).collect();
        assert_eq!(delays, [100, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000]);
        for attempt in [31, 32, 33, 34, 100, u64::MAX] {
            assert_eq!(delay_for_attempt(attempt, FIRST, MAX), MAX, "{attempt}");
        }
    }

    #[test]
    fn jitter_takes_at_most_half() {
        for (random, share) in [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0), (-3.0, 0.5), (7.0, 1.0), (f64::NAN, 0.5)] {
            let mut backoff = Backoff::new(100, 10_000);
            assert_eq!(backoff.next(random), FIRST.mul_f64(share), "{random}");
            assert_eq!(backoff.next(random), FIRST.mul_f64(2.0 * share), "{random}");
        }
    }

    #[test]
    fn a_success_resets_the_delay() {
        let mut backoff = Backoff::new(100, 10_000);
        for _ in 0..100 {
            backoff.next(1.0);
        }
        assert_eq!((backoff.failures(), backoff.next(1.0)), (100, MAX));
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.next(1.0)), (0, FIRST));
    }
}
