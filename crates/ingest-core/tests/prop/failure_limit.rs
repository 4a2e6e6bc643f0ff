use std::net::{IpAddr, Ipv4Addr};

use ingest_core::flow::failure_limit::FailureLimit;
use proptest::prelude::*;

const MOST: usize = 3;
const WINDOW_SECS: u32 = 10;
const WINDOW_US: i64 = 10_000_000;

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

proptest! {
    #[test]
    fn no_address_fails_more_often_within_a_window_than_it_may(
        attempts in prop::collection::vec((0..4_u8, 0..5_000_000_i64), 1..200),
    ) {
        let mut limit = FailureLimit::new(MOST, WINDOW_SECS, 4);
        let (mut now_us, mut failed) = (0, vec![Vec::new(); 4]);
        for (host, step) in attempts {
            now_us += step;
            let failures: &mut Vec<i64> = &mut failed[usize::from(host)];
            let recent = failures.iter().filter(|at| now_us - **at < WINDOW_US).count();
            match limit.retry_after_secs(address(host), now_us) {
                Some(secs) => {
                    prop_assert!(recent >= MOST, "limited after {} failures", recent);
                    prop_assert!((1..=u64::from(WINDOW_SECS)).contains(&secs));
                    // When that time is over it may try.
                    let later = now_us + i64::try_from(secs).unwrap() * 1_000_000;
                    prop_assert_eq!(limit.retry_after_secs(address(host), later), None);
                }
                None => {
                    prop_assert!(recent < MOST);
                    let waits = limit.record(address(host), now_us);
                    failures.push(now_us);
                    prop_assert_eq!(waits, recent + 1 >= MOST);
                }
            }
        }
    }

    #[test]
    fn however_many_addresses_fail_only_so_many_are_remembered(
        attempts in prop::collection::vec((any::<u8>(), 0..3_000_000_i64), 1..400),
        most in 1..20_usize,
    ) {
        let (mut limit, mut now_us) = (FailureLimit::new(1, WINDOW_SECS, most), 0);
        for (host, step) in attempts {
            now_us += step;
            prop_assert!(limit.record(address(host), now_us), "the last one to fail is remembered");
            prop_assert!(limit.len() <= most);
        }
    }
}
