//! Observed times: never further ahead of the broker's time than the skew allowed.

use ingest_core::message::observed_time::observed_us;
use proptest::prelude::*;

const FIVE_MINUTES: i64 = 300_000_000;

#[test]
fn five_minutes_ahead_is_accepted_and_a_microsecond_more_is_not() {
    let received = 1_770_628_520_000_000;
    assert_eq!(observed_us(received + FIVE_MINUTES, received), received + FIVE_MINUTES);
    assert_eq!(observed_us(received + FIVE_MINUTES + 1, received), received);
    assert_eq!(observed_us(received - 10 * FIVE_MINUTES, received), received - 10 * FIVE_MINUTES);
    // 9999-12-31.
    assert_eq!(observed_us(253_402_214_400_000_000, received), received);
}

proptest! {
    #[test]
    fn no_event_is_observed_later_than_its_clock_may_be_wrong(event: i64, received: i64) {
        let observed = observed_us(event, received);
        prop_assert!(observed <= received.saturating_add(FIVE_MINUTES));
        prop_assert!(observed == event || (observed == received && received < event));
    }

    #[test]
    fn the_next_message_of_a_right_clock_always_wins(wrong: i64, first in 0..i64::MAX / 2, later in 1..3_600_000_000_i64) {
        // More than five minutes after the broker has got the wrong one.
        let next = first + FIVE_MINUTES + later;
        prop_assert!(observed_us(next, next) > observed_us(wrong, first));
    }
}
