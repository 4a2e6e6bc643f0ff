//! How a delivery ends: the verdicts of its legs, merged worst-wins, and what the broker is told.

use std::time::Duration;

/// What became of one leg (one sink write) of a delivery. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Its effect is durable.
    Done,
    /// Refused, and the refusal is durable: acknowledged.
    Rejected,
    /// Refused for good by a store, and the refusal is durable: terminated, so that it never comes back.
    Poison,
    /// A fault that may pass: delivered again later.
    Retry,
    /// Dropped without a verdict (a panic, a closed mailbox): delivered again, never counted as delivered.
    Lost,
}

impl Verdict {
    /// The worse of two verdicts; commutative, associative, and [`Verdict::Done`] is neutral.
    #[must_use]
    pub fn merge(self, other: Verdict) -> Verdict {
        self.max(other)
    }

    /// What the broker is told. `retry_delay` is asked only where the message is to come back.
    pub fn disposition(self, retry_delay: impl FnOnce() -> Duration) -> Disposition {
        match self {
            Verdict::Done | Verdict::Rejected => Disposition::Ack,
            Verdict::Poison => Disposition::Term,
            Verdict::Retry | Verdict::Lost => Disposition::Nak(retry_delay()),
        }
    }
}

/// How often the broker delivers a message (`max_deliver`) before it gives it up for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryLimit {
    /// As often as it takes.
    Unlimited,
    /// At most so often.
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

    /// Whether there is one.
    pub fn is_finite(self) -> bool {
        matches!(self, DeliveryLimit::AtMost(_))
    }

    /// Whether the node keeps the message and tries it again by itself: where each delivery is one of few, an outage must not
    /// use them up.
    pub fn keeps(self, verdict: Verdict) -> bool {
        self.is_finite() && matches!(verdict, Verdict::Retry | Verdict::Lost)
    }

    /// Whether a message that is not acknowledged at this attempt is given up by the broker: it must never be NAKed.
    pub fn is_last(self, attempt: u32) -> bool {
        matches!(self, DeliveryLimit::AtMost(most) if attempt >= most)
    }
}

/// What the broker is told about a delivery, exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Done with it.
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
    fn the_worst_leg_decides_whatever_the_order() {
        for a in ALL {
            for b in ALL {
                assert_eq!(a.merge(b), b.merge(a));
                assert_eq!(a.merge(Verdict::Done), a);
                for c in ALL {
                    assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
                }
            }
        }
        assert_eq!(Verdict::Rejected.merge(Verdict::Lost), Verdict::Lost);
    }

    #[test]
    fn a_lost_delivery_is_never_acknowledged() {
        assert_eq!(Verdict::Lost.disposition(|| Duration::from_secs(1)), Disposition::Nak(Duration::from_secs(1)));
    }

    #[test]
    fn an_outage_uses_up_no_delivery_where_they_are_counted() {
        for verdict in ALL {
            let comes_again = matches!(verdict.disposition(|| Duration::ZERO), Disposition::Nak(_));
            assert_eq!(DeliveryLimit::of(3).keeps(verdict), comes_again, "{verdict:?}");
            assert!(!DeliveryLimit::Unlimited.keeps(verdict), "{verdict:?}");
        }
    }

    #[test]
    fn the_last_attempt_is_known_where_deliveries_are_counted() {
        assert_eq!((DeliveryLimit::of(-1), DeliveryLimit::of(0)), (DeliveryLimit::Unlimited, DeliveryLimit::Unlimited));
        assert!(!DeliveryLimit::Unlimited.is_last(u32::MAX));
        assert!(!DeliveryLimit::of(3).is_last(2));
        assert!(DeliveryLimit::of(3).is_last(3) && DeliveryLimit::of(1).is_last(1));
    }
}
