use ingest_core::flow::rate_limit::{Bucket, Limit};
use proptest::prelude::*;

fn limits() -> impl Strategy<Value = Limit> {
    (0.01..2_000.0_f64, 1.0..500.0_f64).prop_map(|(rps, burst)| Limit { rps, burst })
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_the_rate_pass(
        limit in limits(),
        start in -1_000_000_000_000..1_000_000_000_000_i64,
        steps in prop::collection::vec(-100_000..1_000_000_i64, 1..400),
    ) {
        let mut bucket = Bucket::full(start);
        let (mut at_us, mut latest, mut admitted) = (start, start, 0_u32);
        for step in steps {
            at_us += step;
            latest = latest.max(at_us);
            admitted += u32::from(bucket.admit(at_us, false, &limit));
        }
        let seconds = (latest - start) as f64 / 1e6;
        // One microsecond of tolerance, and what f64 rounds.
        prop_assert!(f64::from(admitted) <= limit.burst + limit.rps * (seconds + 1e-6) + 1e-6);
    }

    #[test]
    fn a_device_that_keeps_to_its_rate_always_passes(limit in limits(), messages in 1..500_u32) {
        let mut bucket = Bucket::full(0);
        for n in 0..messages {
            let at_us = (f64::from(n) * 1e6 / limit.rps).ceil() as i64;
            prop_assert!(bucket.admit(at_us, false, &limit), "message {}", n);
        }
    }

    #[test]
    fn a_redelivery_changes_no_later_result(
        limit in limits(),
        steps in prop::collection::vec((0..2_000_000_i64, any::<bool>()), 1..200),
    ) {
        let (mut once, mut twice) = (Bucket::full(0), Bucket::full(0));
        let mut at_us = 0;
        for (step, redelivered) in steps {
            at_us += step;
            prop_assert_eq!(once.admit(at_us, false, &limit), twice.admit(at_us, false, &limit));
            if redelivered {
                prop_assert!(twice.admit(at_us, true, &limit));
            }
        }
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_time_panics(times in prop::collection::vec((any::<i64>(), any::<bool>()), 0..50), limit in limits()) {
        let mut bucket = Bucket::full(0);
        for (at_us, redelivered) in times {
            bucket.admit(at_us, redelivered, &limit);
        }
        prop_assert!(bucket.admit(i64::MAX, true, &limit));
    }
}
