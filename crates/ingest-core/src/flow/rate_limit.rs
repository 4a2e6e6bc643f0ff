//! Token bucket: rate limit of a device, on the broker's clock.

/// How fast a device may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Messages per second that the bucket refills by; 0 or less means no limit at all.
    pub rps: f64,
    /// Messages that an idle device may send at once: the bucket's size.
    pub burst: f64,
}

/// Token bucket of a device. 16 bytes, as every cached device has one.
///
/// It runs on the broker's timestamps of the messages, not on the time of reading: a backlog after an outage is not
/// limited, and a device that sent too fast is limited however late its messages are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    tokens: f64,
    /// The latest broker time it has seen, in Unix microseconds.
    at_us: i64,
}

impl Bucket {
    /// A full bucket, however large the limit makes it.
    pub const fn full(at_us: i64) -> Self {
        Self { tokens: f64::INFINITY, at_us }
    }

    /// Whether a message that the broker stored at `at_us` passes; charges the bucket if so.
    ///
    /// - A time before the latest one seen (streams may be read out of order) refills nothing and is charged.
    /// - A `redelivered` message that is not newer than the latest one seen passes without a charge: it was
    ///   checked before, and charged if it passed. A second charge could reject a valid message because of a failure of the
    ///   node. (A newer one was not checked by this bucket, for instance after a restart.)
    pub fn admit(&mut self, at_us: i64, redelivered: bool, limit: &Limit) -> bool {
        if limit.rps <= 0.0 || (redelivered && at_us <= self.at_us) {
            return true;
        }
        let elapsed_us = at_us.saturating_sub(self.at_us).max(0) as f64;
        let tokens_per_us = limit.rps / 1e6;
        self.at_us = self.at_us.max(at_us);
        self.tokens = (self.tokens + elapsed_us * tokens_per_us).min(limit.burst);
        // Times are whole microseconds: without one of tolerance a device that sends exactly at its rate would be
        // limited occasionally. The next refill takes it back.
        let admitted = self.tokens >= 1.0 - tokens_per_us;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}

impl Bucket {
    /// The latest broker time it has been asked about, in Unix microseconds.
    pub const fn last_us(&self) -> i64 {
        self.at_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const LIMIT: Limit = Limit { rps: 5.0, burst: 20.0 };

    fn admitted(bucket: &mut Bucket, at_us: impl IntoIterator<Item = i64>, limit: &Limit) -> usize {
        at_us.into_iter().filter(|at_us| bucket.admit(*at_us, false, limit)).count()
    }

    #[test]
    fn a_bucket_has_16_bytes() {
        assert_eq!(size_of::<Bucket>(), 16);
    }

    #[test]
    fn an_idle_device_may_send_its_burst_and_no_more() {
        let mut bucket = Bucket::full(0);
        assert_eq!(admitted(&mut bucket, [7; 100], &LIMIT), 20);
    }

    #[test]
    fn it_refills_at_its_rate_up_to_its_size() {
        let mut bucket = Bucket::full(0);
        assert_eq!(admitted(&mut bucket, [0; 30], &LIMIT), 20);
        assert_eq!(admitted(&mut bucket, [SECOND; 30], &LIMIT), 5);
        assert_eq!(admitted(&mut bucket, [1_000 * SECOND; 30], &LIMIT), 20);
    }

    #[test]
    fn a_device_that_sends_exactly_at_its_rate_is_never_limited() {
        for rps in [0.1, 3.0, 7.0, 1_000.0] {
            let limit = Limit { rps, burst: 1.0 };
            let times = (0..10_000).map(|n| (f64::from(n) * 1e6 / rps).ceil() as i64);
            assert_eq!(admitted(&mut Bucket::full(0), times, &limit), 10_000, "{rps}");
        }
    }

    #[test]
    fn an_hour_of_backlog_read_at_once_is_not_limited() {
        let times = (0..3_600 * 5).map(|n| n * SECOND / 5);
        assert_eq!(admitted(&mut Bucket::full(0), times, &LIMIT), 3_600 * 5);
    }

    #[test]
    fn time_that_runs_backwards_refills_nothing() {
        let mut bucket = Bucket::full(100 * SECOND);
        assert_eq!(admitted(&mut bucket, [100 * SECOND; 20], &LIMIT), 20);
        assert_eq!(admitted(&mut bucket, [99 * SECOND, 0, i64::MIN, 100 * SECOND], &LIMIT), 0);
        assert_eq!(admitted(&mut bucket, [i64::MAX; 30], &LIMIT), 20);
    }

    #[test]
    fn a_redelivery_is_not_charged_twice() {
        let mut bucket = Bucket::full(0);
        assert_eq!(admitted(&mut bucket, [SECOND; 20], &LIMIT), 20);
        assert!((0..100).all(|_| bucket.admit(SECOND, true, &LIMIT)));
        assert!(!bucket.admit(SECOND, false, &LIMIT));
    }

    #[test]
    fn a_redelivery_that_this_bucket_has_not_seen_is_charged() {
        let mut bucket = Bucket::full(0);
        assert_eq!((0..30).filter(|n| bucket.admit(SECOND + n, true, &LIMIT)).count(), 20);
    }

    #[test]
    fn no_rate_means_no_limit() {
        let limit = Limit { rps: 0.0, burst: 0.0 };
        assert_eq!(admitted(&mut Bucket::full(0), [0; 1_000], &limit), 1_000);
    }

    #[test]
    fn a_changed_limit_applies_at_once() {
        let mut bucket = Bucket::full(0);
        assert_eq!(admitted(&mut bucket, [0; 5], &LIMIT), 5);
        assert_eq!(admitted(&mut bucket, [0; 30], &Limit { rps: 1.0, burst: 3.0 }), 3);
    }
}
