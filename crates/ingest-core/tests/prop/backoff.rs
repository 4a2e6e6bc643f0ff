use std::time::Duration;

use ingest_core::flow::backoff::{Backoff, delay_for_attempt};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_delay_is_between_half_and_all_of_its_step(
        first_ms in 1..10_000_u64,
        max_ms in 1..1_000_000_u64,
        randoms in prop::collection::vec(any::<f64>(), 1..80),
    ) {
        let mut backoff = Backoff::new(first_ms, max_ms);
        for (n, random) in (1..).zip(randoms) {
            let step = delay_for_attempt(n, Duration::from_millis(first_ms), Duration::from_millis(max_ms));
            let delay = backoff.next(random);
            prop_assert!(delay <= step && delay >= step.mul_f64(0.499_999));
            prop_assert!(step <= Duration::from_millis(max_ms));
        }
    }

    #[test]
    fn delays_never_shrink_with_attempts(attempt in any::<u64>(), first_ms in any::<u32>(), max_ms in any::<u32>()) {
        let delay = |attempt| {
            delay_for_attempt(attempt, Duration::from_millis(first_ms.into()), Duration::from_millis(max_ms.into()))
        };
        prop_assert!(delay(attempt) <= delay(attempt.saturating_add(1)));
    }
}
