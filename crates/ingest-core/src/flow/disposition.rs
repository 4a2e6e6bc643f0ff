//! Disposition: how a delivery is settled. The worst verdict of its ack legs decides between ack, NAK and term.

use std::time::Duration;

/// Outcome of one ack leg (one sink write) of a delivery. Ordered from best to worst: of several legs the maximum counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Its effect is durable.
    Done,
    /// Rejected, and the rejection is durable: acknowledged.
    Rejected,
    /// Rejected permanently by a store, and the rejection is durable: terminated, so that it is never delivered again.
    Poison,
    /// A transient failure: delivered again later.
    Retry,
    /// Dropped without a verdict (a panic, a closed mailbox): delivered again, never counted as done.
    Lost,
}

impl Verdict {
    /// The answer to the broker. `retry_delay` is called only where the message is to be delivered again.
    pub fn disposition(self, retry_delay: impl FnOnce() -> Duration) -> Disposition {
        match self {
            Verdict::Done | Verdict::Rejected => Disposition::Ack,
            Verdict::Poison => Disposition::Term,
            Verdict::Retry | Verdict::Lost => Disposition::Nak(retry_delay()),
        }
    }
}

/// How often the broker delivers a message (`max_deliver`) in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryLimit {
    /// Until it is acknowledged or terminated.
    Unlimited,
    /// At most this often.
    AtMost(u32),
}

impl DeliveryLimit {
    /// Reads the consumer's setting: anything below 1 is unlimited.
    pub fn of(max_deliver: i64) -> Self {
        match u32::try_from(max_deliver) {
            Ok(0) | Err(_) => DeliveryLimit::Unlimited,
            Ok(most) => DeliveryLimit::AtMost(most),
        }
    }

    /// Whether deliveries are limited.
    pub fn is_finite(self) -> bool {
        matches!(self, DeliveryLimit::AtMost(_))
    }

    /// Whether the node retries the message itself instead of sending a NAK: where deliveries are limited, an outage
    /// must not use them up.
    pub fn retries_locally(self, verdict: Verdict) -> bool {
        self.is_finite() && matches!(verdict, Verdict::Retry | Verdict::Lost)
    }

    /// Whether this attempt is the last one, after which the broker drops the message: it must never be NAKed.
    pub fn is_last(self, attempt: u32) -> bool {
        matches!(self, DeliveryLimit::AtMost(most) if attempt >= most)
    }
}

/// The answer to the broker about a delivery, sent exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Acknowledged.
    Ack,
    /// Deliver it again, not before this delay (a NAK without one burns its attempts in milliseconds).
    Nak(Duration),
    /// Never deliver it again.
    Term,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Verdict; 5] = [Verdict::Done, Verdict::Rejected, Verdict::Poison, Verdict::Retry, Verdict::Lost];

    #[test]
    fn the_order_of_verdicts_makes_the_worst_leg_decide() {
        assert!(ALL.is_sorted(), "from best to worst");
        for (legs, worst) in [
            ([Verdict::Done, Verdict::Rejected], Verdict::Rejected),
            ([Verdict::Poison, Verdict::Rejected], Verdict::Poison),
            ([Verdict::Retry, Verdict::Poison], Verdict::Retry),
            ([Verdict::Lost, Verdict::Retry], Verdict::Lost),
        ] {
            let [one, other] = legs;
            assert_eq!((one.max(other), other.max(one)), (worst, worst));
        }
    }

    #[test]
    fn a_lost_delivery_is_never_acknowledged() {
        assert_eq!(Verdict::Lost.disposition(|| Duration::from_secs(1)), Disposition::Nak(Duration::from_secs(1)));
    }

    #[test]
    fn an_outage_uses_up_no_delivery_where_they_are_limited() {
        for verdict in ALL {
            let comes_again = matches!(verdict.disposition(|| Duration::ZERO), Disposition::Nak(_));
            assert_eq!(DeliveryLimit::of(3).retries_locally(verdict), comes_again, "{verdict:?}");
            assert!(!DeliveryLimit::Unlimited.retries_locally(verdict), "{verdict:?}");
        }
    }

    #[test]
    fn the_last_attempt_is_known_where_deliveries_are_limited() {
        assert_eq!((DeliveryLimit::of(-1), DeliveryLimit::of(0)), (DeliveryLimit::Unlimited, DeliveryLimit::Unlimited));
        assert!(!DeliveryLimit::Unlimited.is_last(u32::MAX));
        assert!(!DeliveryLimit::of(3).is_last(2));
        assert!(DeliveryLimit::of(3).is_last(3) && DeliveryLimit::of(1).is_last(1));
    }
}
