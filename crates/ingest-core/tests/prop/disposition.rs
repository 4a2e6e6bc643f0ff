//! The worst verdict of a delivery's ack legs decides, whatever the order.

use std::time::Duration;

use ingest_core::flow::disposition::{Disposition, Verdict};
use proptest::prelude::*;

/// Any verdict.
pub(crate) fn verdict() -> impl Strategy<Value = Verdict> {
    use Verdict::{Done, Lost, Poison, Rejected, Retry};
    proptest::sample::select(&[Done, Rejected, Poison, Retry, Lost])
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    proptest::collection::vec(verdict(), 1..12)
}

proptest! {
    #[test]
    fn the_worst_leg_decides_whatever_the_order(legs in verdicts(), rotation in 0_usize..12) {
        let worst = |legs: &[Verdict]| legs.iter().copied().fold(Verdict::Done, Verdict::max);
        let mut turned = legs.clone();
        turned.rotate_left(rotation % legs.len());
        turned.reverse();
        prop_assert_eq!(worst(&legs), worst(&turned));
        prop_assert_eq!(Some(worst(&legs)), legs.iter().copied().max());
    }

    #[test]
    fn a_delivery_with_a_lost_or_failed_leg_always_comes_again(legs in verdicts()) {
        let worst = legs.iter().copied().fold(Verdict::Done, Verdict::max);
        let comes_again = matches!(worst.disposition(|| Duration::from_secs(1)), Disposition::Nak(_));
        prop_assert_eq!(comes_again, legs.iter().any(|leg| matches!(leg, Verdict::Retry | Verdict::Lost)));
    }
}
