//! The limit of failed attempts per address, shared by the threads that serve requests.

use std::net::IpAddr;
use std::time::Instant;

use parking_lot::Mutex;

use ingest_core::flow::failure_limit::FailureLimit;

/// Failures within the window after which an address has to wait.
const MOST_FAILURES: usize = 10;
const WINDOW_SECS: u32 = 60;
/// Most addresses that are remembered; some hundred bytes each.
const MOST_ADDRESSES: usize = 10_000;

/// Counts failed attempts. An address is that of the connection, or that of the client where the operator trusts who names it: what
/// a header claims can be made up.
#[derive(Debug)]
pub(crate) struct Failures {
    limit: Mutex<FailureLimit>,
    since: Instant,
}

impl Default for Failures {
    fn default() -> Self {
        let limit = FailureLimit::new(MOST_FAILURES, WINDOW_SECS, MOST_ADDRESSES);
        Self { limit: Mutex::new(limit), since: Instant::now() }
    }
}

impl Failures {
    /// Whole seconds until this address may try again; `None` where it may now.
    pub(crate) fn retry_after_secs(&self, address: IpAddr) -> Option<u64> {
        self.limit.lock().retry_after_secs(address, self.now_us())
    }

    /// Records a failure; whether the address has to wait from now on.
    pub(crate) fn record(&self, address: IpAddr) -> bool {
        self.limit.lock().record(address, self.now_us())
    }

    fn now_us(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_tenth_failure_makes_its_address_wait_for_about_a_minute() {
        let (failures, [one, other]) = (Failures::default(), [1, 2].map(|host| Ipv4Addr::new(127, 0, 0, host).into()));
        assert_eq!((0..10).filter(|_| failures.record(one)).count(), 1);
        assert!(failures.retry_after_secs(one).is_some_and(|secs| (1..=60).contains(&secs)));
        assert_eq!(failures.retry_after_secs(other), None);
    }
}
