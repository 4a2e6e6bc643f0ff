//! When a tenant's database is written to, and when it is left alone.
//!
//! After a failure nothing is sent for a while that grows with every further one; after several in a row the breaker is
//! open: then one request at a time finds out whether the database is back.

use std::time::{Duration, Instant};

use ingest_core::flow::backoff::Backoff;

/// Longest wait that a server may ask for (`Retry-After`): a wrong header must not silence a tenant for a day. To the
/// supervisor the wait is no standstill (`BufferStats::waits_until`).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The state of one database. Time is a parameter.
#[derive(Debug)]
pub(super) struct Breaker {
    backoff: Backoff,
    threshold: u64,
    forced_open: bool,
    resume_at: Option<Instant>,
    round: Round,
}

/// Requests sent between two failures. Several of them usually fail together: that is one failure, not several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round(u64);

/// What a failure says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// It may pass by itself.
    Passing,
    /// It waits for an operator: the breaker opens at once.
    Lasting,
}

impl Breaker {
    /// Closed; opens after `threshold` failures in a row.
    pub(super) fn new(backoff: Backoff, threshold: u64) -> Self {
        Self { backoff, threshold, forced_open: false, resume_at: None, round: Round::default() }
    }

    /// How many requests may be in flight now, out of `most`.
    pub(super) fn permits(&self, now: Instant, most: usize) -> usize {
        match self.resume_at {
            Some(resume_at) if now < resume_at => 0,
            _ if self.is_open() => 1,
            _ => most,
        }
    }

    /// When requests may be sent again, where that is not now.
    pub(super) fn resumes_at(&self, now: Instant) -> Option<Instant> {
        self.resume_at.filter(|resume_at| now < *resume_at)
    }

    /// Whether the database is taken for away.
    pub(super) fn is_open(&self) -> bool {
        self.forced_open || self.backoff.failures() >= self.threshold
    }

    /// Whether the last thing known of the database is a failure.
    pub(super) fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    /// The round that a request belongs to which is sent now.
    pub(super) fn round(&self) -> Round {
        self.round
    }

    /// The database took a request; `true` where that closes the breaker.
    pub(super) fn succeeded(&mut self, round: Round) -> bool {
        // An answer that was on its way when another request failed says nothing about the time since.
        if round != self.round || !self.is_failing() {
            return false;
        }
        let was_open = self.is_open();
        self.backoff.reset();
        self.forced_open = false;
        self.resume_at = None;
        was_open
    }

    /// The database did not take a request; `true` where that opens the breaker. `random` is from 0 to 1 by chance.
    pub(super) fn failed(
        &mut self,
        round: Round,
        severity: Severity,
        retry_after: Option<Duration>,
        now: Instant,
        random: f64,
    ) -> bool {
        if round != self.round {
            return false;
        }
        let was_open = self.is_open();
        let delay = self.backoff.next(random).max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        self.forced_open |= severity == Severity::Lasting;
        self.resume_at = Some(now + delay);
        self.round.0 += 1;
        self.is_open() && !was_open
    }

    /// Ends the present wait: the next attempt may be the last one there is time for.
    pub(super) fn retry_now(&mut self) {
        self.resume_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8;

    fn breaker() -> Breaker {
        Breaker::new(Backoff::new(100, 10_000), 3)
    }

    fn fail(breaker: &mut Breaker, now: Instant) -> bool {
        let round = breaker.round();
        breaker.failed(round, Severity::Passing, None, now, 1.0)
    }

    #[test]
    fn a_working_database_gets_all_requests() {
        let mut breaker = breaker();
        let now = Instant::now();
        assert_eq!((breaker.permits(now, MOST), breaker.resumes_at(now)), (MOST, None));
        let round = breaker.round();
        assert!(!breaker.succeeded(round));
        assert_eq!(breaker.permits(now, MOST), MOST);
    }

    #[test]
    fn a_failure_makes_a_pause_and_several_open_the_breaker() {
        let mut breaker = breaker();
        let now = Instant::now();
        assert!(!fail(&mut breaker, now));
        assert_eq!(breaker.permits(now, MOST), 0);
        let later = now + Duration::from_millis(100);
        assert_eq!(breaker.resumes_at(now), Some(later));
        assert_eq!(breaker.permits(later, MOST), MOST);
        assert!(!fail(&mut breaker, later));
        assert!(fail(&mut breaker, later));
        assert!(breaker.is_open());
        assert_eq!(breaker.permits(later + Duration::from_secs(60), MOST), 1);
    }

    #[test]
    fn the_probe_decides() {
        let mut breaker = breaker();
        let now = Instant::now();
        for _ in 0..3 {
            fail(&mut breaker, now);
        }
        assert!(!fail(&mut breaker, now), "it is open already");
        let round = breaker.round();
        assert!(breaker.succeeded(round), "it closes");
        assert_eq!(breaker.permits(now, MOST), MOST);
        assert!(!fail(&mut breaker, now), "counting begins again");
    }

    #[test]
    fn requests_that_fail_together_are_one_failure() {
        let mut breaker = breaker();
        let now = Instant::now();
        let round = breaker.round();
        for _ in 0..MOST {
            assert!(!breaker.failed(round, Severity::Passing, None, now, 1.0));
        }
        assert_eq!(breaker.permits(now + Duration::from_millis(100), MOST), MOST);
        assert!(!breaker.succeeded(round), "an answer from before the failure changes nothing");
        assert_eq!(breaker.permits(now, MOST), 0);
    }

    #[test]
    fn what_waits_for_an_operator_opens_it_at_once() {
        let mut breaker = breaker();
        let now = Instant::now();
        let round = breaker.round();
        assert!(breaker.failed(round, Severity::Lasting, None, now, 1.0));
        assert_eq!(breaker.permits(now + Duration::from_secs(1), MOST), 1);
        let round = breaker.round();
        assert!(breaker.succeeded(round));
        assert!(!breaker.is_open());
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait_within_reason() {
        let mut breaker = breaker();
        let now = Instant::now();
        for (retry_after, wait) in [(7, 7), (86_400, 60)] {
            let round = breaker.round();
            breaker.failed(round, Severity::Passing, Some(Duration::from_secs(retry_after)), now, 1.0);
            assert_eq!(breaker.resumes_at(now), Some(now + Duration::from_secs(wait)));
        }
        breaker.retry_now();
        assert_eq!(breaker.permits(now, MOST), MOST);
    }
}
