//! Refusals on their way to `quarantine_events` and `quarantine_counters_minute`: what is stored, and what only counted.

use std::collections::{BTreeMap, HashMap};

use crate::core::disposition::Verdict;
use crate::core::event::Refusal;
use crate::debt::Share;
use crate::delivery::{Delivery, Origin, Ticket};
use crate::message::RefusedPoint;

const MINUTE_US: i64 = 60_000_000;

/// Minutes whose counts are remembered: redeliveries and the lanes' different lags make them overlap a little.
const MINUTES_REMEMBERED: usize = 60;

/// Tenants told apart within a minute. Senders choose the tenant in a topic, so the rest shares one count.
const TENANTS_PER_MINUTE: usize = 10_000;

/// A refusal with what is to be done about it.
#[derive(Debug)]
pub struct Refused {
    /// The broker facts that key it.
    pub origin: Origin,
    /// The refusal.
    pub refusal: Refusal,
    /// Where it goes.
    pub keep: Keep,
    /// The delivery's duty; a best-effort point has none left.
    pub ticket: Option<Ticket>,
    /// What the delivery ends with once the refusal is durable.
    pub verdict: Verdict,
    /// A refused point's part in what is owed to InfluxDB: nothing is any more once the refusal is durable.
    pub owed: Share,
}

/// Where a refusal goes, beside the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// A row of `quarantine_events`.
    pub event: bool,
    /// A row of `raw_events` with `accepted = false`.
    pub mirror: bool,
}

impl Keep {
    /// In the quarantine, and nowhere else.
    pub const STORED: Keep = Keep { event: true, mirror: false };
    /// Nowhere.
    pub const COUNTED: Keep = Keep { event: false, mirror: false };
}

/// Decides what is stored.
#[derive(Debug)]
pub struct Gate {
    /// `STORE_REJECTS`.
    pub store_rejects: bool,
    /// `MIRROR_REJECTS_TO_RAW`, in `DEV`.
    pub mirror_rejects: bool,
    cap: u32,
    stored: BTreeMap<i64, HashMap<String, u32>>,
}

impl Gate {
    /// A gate with a cap on stored events per tenant and minute.
    pub fn new(cap: u32) -> Self {
        Self { store_rejects: true, mirror_rejects: false, cap, stored: BTreeMap::new() }
    }

    /// Where a refusal goes. `mirrored` says whether its lane has rows in `raw_events` at all. The second value tells
    /// whether the cap alone kept it out.
    pub fn decide(&mut self, origin: &Origin, refusal: &Refusal, mirrored: bool) -> (Keep, bool) {
        let reason = refusal.rejection.reason;
        if reason.is_always_stored() {
            return (Keep { event: true, mirror: mirrored && self.mirror_rejects }, false);
        }
        let wanted = Keep { event: self.store_rejects, mirror: mirrored && self.mirror_rejects };
        if reason.is_never_stored() || !(wanted.event || wanted.mirror) {
            return (Keep::COUNTED, false);
        }
        if self.admit(origin.received_us.div_euclid(MINUTE_US), refusal.counted_tenant()) {
            (wanted, false)
        } else {
            (Keep::COUNTED, true)
        }
    }

    /// Counts one more for the tenant and minute; `false` over the cap.
    fn admit(&mut self, minute: i64, tenant_id: &str) -> bool {
        let tenants = self.stored.entry(minute).or_default();
        let is_crowded = tenants.len() >= TENANTS_PER_MINUTE && !tenants.contains_key(tenant_id);
        let tenant_id = if is_crowded { "" } else { tenant_id };
        let admitted = match tenants.get_mut(tenant_id) {
            Some(count) if *count >= self.cap => false,
            Some(count) => {
                *count += 1;
                true
            }
            None => {
                tenants.insert(tenant_id.to_owned(), 1);
                self.cap > 0
            }
        };
        while self.stored.len() > MINUTES_REMEMBERED {
            self.stored.pop_first();
        }
        admitted
    }
}

impl Refused {
    /// A refused message.
    pub fn message(delivery: Delivery, refusal: Refusal, keep: Keep) -> Self {
        let verdict = if refusal.rejection.reason.is_poison() { Verdict::Poison } else { Verdict::Rejected };
        let origin = delivery.origin.clone();
        Self { origin, refusal, keep, ticket: Some(delivery.into_ticket()), verdict, owed: Share::default() }
    }

    /// A refused point: its row stays, so the delivery, where it still waits, is done.
    pub fn point(point: RefusedPoint) -> Self {
        use crate::core::event::Content;
        use crate::core::rejection::{Reason, Rejection};

        let refusal = Refusal {
            rejection: Rejection::new(Reason::PointRefused, point.message),
            topic: String::new(),
            tenant_id: Some(point.tenant_id.to_string()),
            site_id: None,
            device_id: None,
            msg_type: None,
            event_us: None,
            content: Content::Raw(point.line.into()),
        };
        Self {
            origin: point.origin,
            refusal,
            keep: Keep::STORED,
            ticket: point.ticket,
            verdict: Verdict::Done,
            owed: point.owed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Content;
    use crate::core::rejection::{Reason, Rejection};

    fn refusal(tenant: &str, reason: Reason) -> Refusal {
        Refusal {
            rejection: Rejection::from(reason),
            topic: String::new(),
            tenant_id: Some(tenant.to_owned()),
            site_id: None,
            device_id: None,
            msg_type: None,
            event_us: None,
            content: Content::Json("{}".to_owned()),
        }
    }

    fn at(received_us: i64) -> Origin {
        Origin { stream: "TELEMETRY".into(), stream_seq: 1, received_us }
    }

    #[test]
    fn a_flood_is_stored_up_to_the_cap_of_its_tenant_and_minute() {
        let mut gate = Gate::new(2);
        let mut stored = |tenant, us| gate.decide(&at(us), &refusal(tenant, Reason::TokenInvalid), true).0.event;
        assert_eq!([stored("a", 0), stored("a", 1), stored("a", 2)], [true, true, false]);
        assert!(stored("b", 3), "another tenant has its own cap");
        assert!(stored("a", MINUTE_US), "another minute too");
    }

    #[test]
    fn what_no_tenant_is_to_blame_for_is_stored_over_the_cap_and_when_storing_is_off() {
        let mut gate = Gate::new(0);
        gate.store_rejects = false;
        for reason in Reason::ALL {
            let (keep, _) = gate.decide(&at(0), &refusal("a", reason), true);
            assert_eq!(keep.event, reason.is_always_stored(), "{reason}");
        }
    }

    #[test]
    fn what_the_limiter_refused_is_neither_stored_nor_mirrored() {
        let mut gate = Gate::new(10);
        gate.mirror_rejects = true;
        let (keep, capped) = gate.decide(&at(0), &refusal("a", Reason::RateLimited), true);
        assert_eq!((keep, capped), (Keep::COUNTED, false));
    }

    #[test]
    fn rejects_are_mirrored_where_their_lane_has_rows() {
        let mut gate = Gate::new(10);
        gate.mirror_rejects = true;
        gate.store_rejects = false;
        assert!(gate.decide(&at(0), &refusal("a", Reason::TokenInvalid), true).0.mirror);
        assert!(!gate.decide(&at(0), &refusal("a", Reason::TokenInvalid), false).0.mirror);
    }
}
