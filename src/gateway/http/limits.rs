//! Limits of requests, per address and in all.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use super::Config;
use ingest_core::flow::rate_limit::{Bucket, Limit};

/// Addresses that have a bucket of their own; all others share one. Those that are full again are forgotten first.
const MOST_ADDRESSES: usize = 65_536;
/// Least time between two looks for buckets that are full again.
const SWEEP_EVERY_US: i64 = 1_000_000;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverLimit {
    /// Its address sends too many.
    Address,
    /// All together send too many.
    Total,
}

/// The limits of a server.
pub(super) struct Limits {
    address: Limit,
    total: Limit,
    state: Mutex<State>,
}

struct State {
    total: Bucket,
    addresses: HashMap<u64, Bucket>,
    others: Bucket,
    swept_us: i64,
}

impl Limits {
    /// As configured.
    pub(super) fn new(config: &Config) -> Self {
        let limit = |rps: u64, burst: u64| Limit { rps: rps as f64, burst: burst as f64 };
        Self {
            address: limit(config.address_rps, config.address_burst),
            total: limit(config.total_rps, config.total_burst),
            state: Mutex::new(State {
                total: Bucket::full(0),
                addresses: HashMap::new(),
                others: Bucket::full(0),
                swept_us: 0,
            }),
        }
    }

    /// Whether a request passes.
    ///
    /// # Errors
    /// Which limit it is over.
    pub(super) fn admit(&self, address: Option<IpAddr>, now_us: i64) -> Result<(), OverLimit> {
        if self.address.rps <= 0.0 && self.total.rps <= 0.0 {
            return Ok(());
        }
        let mut state = self.state.lock();
        if self.address.rps > 0.0 && !state.bucket(address, now_us, &self.address).admit(now_us, false, &self.address) {
            return Err(OverLimit::Address);
        }
        if state.total.admit(now_us, false, &self.total) { Ok(()) } else { Err(OverLimit::Total) }
    }
}

impl State {
    fn bucket(&mut self, address: Option<IpAddr>, now_us: i64, limit: &Limit) -> &mut Bucket {
        let Some(network) = address.map(network) else { return &mut self.others };
        if self.addresses.len() >= MOST_ADDRESSES && !self.addresses.contains_key(&network) {
            if now_us - self.swept_us >= SWEEP_EVERY_US {
                self.swept_us = now_us;
                let refilled_us = (limit.burst / limit.rps * 1e6) as i64;
                self.addresses.retain(|_, bucket| bucket.last_us() > now_us.saturating_sub(refilled_us));
            }
            if self.addresses.len() >= MOST_ADDRESSES {
                return &mut self.others;
            }
        }
        self.addresses.entry(network).or_insert(Bucket::full(now_us))
    }
}

/// Whoever has an IPv6 address has its whole /64.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        // No global address begins with 32 zeros, so none is taken for one of IPv4.
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(address_rps: u64, total_rps: u64) -> Limits {
        Limits::new(&Config { address_rps, address_burst: 2, total_rps, total_burst: 3, ..Config::default() })
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_limited_and_no_other_by_it() {
        let limits = limits(1, 0);
        let admit = |address, now_us| limits.admit(ip(address), now_us);
        assert_eq!([admit("10.0.0.1", 0), admit("::ffff:10.0.0.1", 0)], [Ok(()), Ok(())]);
        assert_eq!(admit("10.0.0.1", 0), Err(OverLimit::Address));
        assert_eq!([admit("10.0.0.2", 0), admit("10.0.0.1", 1_000_000)], [Ok(()), Ok(())]);
        assert_eq!([admit("2001:db8::1", 0), admit("2001:db8::2", 0)], [Ok(()), Ok(())]);
        assert_eq!([admit("2001:db8::3", 0), admit("2001:db8:0:1::3", 0)], [Err(OverLimit::Address), Ok(())]);
    }

    #[test]
    fn all_together_are_limited() {
        let limits = limits(0, 1);
        assert!((0..3).all(|n| limits.admit(ip(&format!("10.0.0.{n}")), 0).is_ok()));
        assert_eq!(limits.admit(ip("10.0.0.9"), 0), Err(OverLimit::Total));
        assert_eq!(self::limits(0, 0).admit(None, 0), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_those_beyond_share_one_bucket() {
        let limits = limits(1, 0);
        let of = |n: u32| Some(IpAddr::V4(n.into()));
        (0..MOST_ADDRESSES as u32).for_each(|n| assert_eq!(limits.admit(of(n), 5), Ok(())));
        let beyond = (0..10).filter(|n| limits.admit(of(1 << 24 | n), 5).is_ok()).count();
        assert_eq!((beyond, limits.state.lock().addresses.len()), (2, MOST_ADDRESSES));
        assert_eq!(limits.admit(of(1 << 24), 3_000_000), Ok(()));
        assert_eq!(limits.state.lock().addresses.len(), 1, "those that are full again are forgotten");
    }
}
