//! Failure limit: how often an address may present a wrong secret before it has to wait.
//!
//! Sliding window per address. Only failures count, so that whoever has the right secret is never limited by its own requests.
//! IPv6 addresses count per /64, the smallest network that one customer gets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// Who is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6([u16; 4]),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Source::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Source::V6([a, b, c, d])
            }
        }
    }
}

/// Failures of the last while, by address.
#[derive(Debug)]
pub struct FailureLimit {
    most_failures: usize,
    window_us: i64,
    most_sources: usize,
    /// The times of the last failures, ascending; never empty, never more than `most_failures`.
    sources: HashMap<Source, VecDeque<i64>>,
}

impl FailureLimit {
    /// A limit of `most_failures` within `window_secs` seconds for each of at most `most_sources` addresses. Where more fail,
    /// the one that has not failed for the longest time is forgotten.
    pub fn new(most_failures: usize, window_secs: u32, most_sources: usize) -> Self {
        Self {
            most_failures: most_failures.max(1),
            window_us: i64::from(window_secs) * 1_000_000,
            most_sources: most_sources.max(1),
            sources: HashMap::new(),
        }
    }

    /// Whole seconds, at least 1, until an address may try again; `None` where it may now. `now_us` is of any clock that does
    /// not run backwards.
    pub fn retry_after_secs(&self, address: IpAddr, now_us: i64) -> Option<u64> {
        let failures = self.sources.get(&address.into())?;
        let oldest = *failures.front().filter(|_| failures.len() >= self.most_failures)?;
        let wait_us = oldest.saturating_add(self.window_us).saturating_sub(now_us);
        (wait_us > 0).then(|| wait_us.unsigned_abs().div_ceil(1_000_000))
    }

    /// Records a failure; whether the address has to wait from now on.
    pub fn record(&mut self, address: IpAddr, now_us: i64) -> bool {
        let source = Source::from(address);
        if !self.sources.contains_key(&source) && self.sources.len() >= self.most_sources {
            self.make_room(now_us);
        }
        let failures = self.sources.entry(source).or_default();
        // Several attempts may have been under way when the limit was reached.
        while failures.len() >= self.most_failures {
            failures.pop_front();
        }
        failures.push_back(now_us);
        self.retry_after_secs(address, now_us).is_some()
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether no address is remembered.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    fn make_room(&mut self, now_us: i64) {
        let expired_at = now_us.saturating_sub(self.window_us);
        self.sources.retain(|_, failures| failures.back().is_some_and(|last| *last > expired_at));
        if self.sources.len() >= self.most_sources {
            let quietest =
                self.sources.iter().min_by_key(|(_, failures)| failures.back().copied()).map(|(key, _)| *key);
            if let Some(quietest) = quietest {
                self.sources.remove(&quietest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn limit() -> FailureLimit {
        FailureLimit::new(10, 60, 100)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_eleventh_attempt_waits_until_the_first_failure_is_a_minute_old() {
        let (mut limit, address) = (limit(), ip("10.0.0.1"));
        for second in 0..9 {
            assert!(!limit.record(address, second * SECOND));
        }
        assert_eq!(limit.retry_after_secs(address, 9 * SECOND), None);
        assert!(limit.record(address, 9 * SECOND));
        assert_eq!(limit.retry_after_secs(address, 9 * SECOND), Some(51));
        assert_eq!(limit.retry_after_secs(address, 60 * SECOND - 1), Some(1));
        assert_eq!(limit.retry_after_secs(address, 60 * SECOND), None);
        assert!(limit.record(address, 60 * SECOND), "ten within the minute again");
        assert_eq!(limit.retry_after_secs(address, 60 * SECOND), Some(1));
        assert_eq!(limit.retry_after_secs(ip("10.0.0.2"), 9 * SECOND), None, "another address");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_of_ipv4() {
        let mut limit = limit();
        for host in 0..10 {
            limit.record(ip(&format!("2001:db8:1:2::{host}")), 0);
            limit.record(ip("::ffff:10.0.0.1"), 0);
        }
        assert!(limit.retry_after_secs(ip("2001:db8:1:2:ffff::1"), 0).is_some());
        assert!(limit.retry_after_secs(ip("2001:db8:1:3::1"), 0).is_none());
        assert!(limit.retry_after_secs(ip("10.0.0.1"), 0).is_some());
        assert_eq!(limit.len(), 2);
    }

    #[test]
    fn a_full_table_forgets_what_is_over_and_then_the_quietest() {
        let mut limit = FailureLimit::new(1, 60, 2);
        limit.record(ip("10.0.0.1"), 0);
        limit.record(ip("10.0.0.2"), 30 * SECOND);
        limit.record(ip("10.0.0.3"), 60 * SECOND);
        let waits = |limit: &FailureLimit, host: u8, at: i64| {
            limit.retry_after_secs(ip(&format!("10.0.0.{host}")), at * SECOND).is_some()
        };
        assert!(waits(&limit, 2, 60) && waits(&limit, 3, 60), "only what was over had to go");
        limit.record(ip("10.0.0.4"), 61 * SECOND);
        assert!(!waits(&limit, 2, 61) && waits(&limit, 3, 61) && waits(&limit, 4, 61));
        assert!(!limit.is_empty());
    }
}
