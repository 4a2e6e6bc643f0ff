//! Refusals on their way to `quarantine_events` and `quarantine_counters_minute`.

use bytes::Bytes;

use crate::delivery::pending_ack::PendingAck;
use crate::delivery::{Delivery, DeliveryGuard, Origin};
use crate::message::RejectedPoint;
use ingest_core::flow::disposition::Verdict;
use ingest_core::message::quarantine_content;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::QuarantineRecord;

/// A refusal with what is to be done about it.
#[derive(Debug)]
pub(super) struct PendingQuarantine {
    /// The broker facts that key it.
    pub(super) origin: Origin,
    /// The refusal.
    pub(super) refusal: QuarantineRecord,
    /// Where it goes.
    pub(super) keep: Keep,
    /// Whom it is counted for.
    pub(super) counted_for: CountedFor,
    /// Which of its traces an earlier delivery may have left.
    pub(super) traces: Traces,
    /// What is known to be there already.
    pub(super) known: Known,
    /// PostgreSQL refuses its event, so that it is only counted.
    pub(super) is_only_counted: bool,
    /// The delivery's duty; a best-effort point has none left.
    pub(super) guard: Option<DeliveryGuard>,
    /// What the delivery ends with once the refusal is durable.
    verdict: Verdict,
    /// A refused point's part in what is owed to InfluxDB: nothing is any more once the refusal is durable.
    pub(super) owed: PendingAck,
}

/// Where a refusal goes, beside the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keep {
    /// A row of `quarantine_events`.
    pub(super) event: bool,
    /// A row of `raw_events` with `accepted = false`.
    pub(super) mirror: bool,
}

impl Keep {
    /// In the quarantine, and nowhere else.
    pub(super) const STORED: Keep = Keep { event: true, mirror: false };
    /// Nowhere.
    pub(super) const COUNTED: Keep = Keep { event: false, mirror: false };
}

/// Whom a refusal is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedFor {
    /// The tenant it names, where that has devices.
    Tenant,
    /// `unknown`: PostgreSQL refuses the tenant.
    Unknown,
    /// Nobody: PostgreSQL refuses that, too.
    Nobody,
}

/// Traces that an earlier delivery of the same message may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traces {
    /// None: it is delivered for the first time.
    None,
    /// The same refusal.
    Rejection,
    /// The same refusal, or a row: it was valid then.
    RejectionOrRow,
}

/// What is there already of a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, as far as it is known.
    Nothing,
    /// The same refusal is stored, and counted.
    Rejection,
    /// Its row. A row that is stored stays stored, and its message is no rejection.
    Row,
}

impl PendingQuarantine {
    /// A refused message.
    pub(super) fn message(delivery: Delivery, refusal: QuarantineRecord, keep: Keep) -> Self {
        let verdict = if refusal.rejection.reason.is_poison() { Verdict::Poison } else { Verdict::Rejected };
        let traces = match (delivery.may_have_row(), delivery.may_be_stored()) {
            (true, _) => Traces::RejectionOrRow,
            (false, true) => Traces::Rejection,
            (false, false) => Traces::None,
        };
        let origin = delivery.origin.clone();
        let guard = Some(delivery.into_guard());
        Self { traces, guard, verdict, owed: PendingAck::default(), ..Self::of(origin, refusal, keep) }
    }

    /// A refused point: its row stays, so the delivery, where it still waits, is done.
    pub(super) fn point(point: RejectedPoint, keep: Keep) -> Self {
        let refusal = QuarantineRecord {
            rejection: Rejection::new(Reason::PointRefused, point.message),
            topic: String::new(),
            tenant_id: Some(point.tenant_id.to_string()),
            site_id: None,
            device_id: None,
            msg_type: None,
            of_unknown_tenant: false,
            event_us: None,
            content: quarantine_content::raw(point.line.as_bytes()),
        };
        let (guard, owed) = (point.guard, point.owed);
        // A point may be written, and refused, more than once.
        Self { traces: Traces::Rejection, guard, owed, ..Self::of(point.origin, refusal, keep) }
    }

    /// A refusal that no delivery waits for.
    pub(super) fn of(origin: Origin, refusal: QuarantineRecord, keep: Keep) -> Self {
        Self {
            origin,
            refusal,
            keep,
            counted_for: CountedFor::Tenant,
            traces: Traces::None,
            known: Known::Nothing,
            is_only_counted: false,
            guard: None,
            verdict: Verdict::Done,
            owed: PendingAck::default(),
        }
    }

    /// What its delivery ends with.
    pub(super) fn verdict(&self) -> Verdict {
        if self.known == Known::Row { Verdict::Done } else { self.verdict }
    }

    /// The tenant it is counted for; `None` where it is not.
    pub(super) fn counted_tenant(&self) -> Option<&str> {
        match (self.known, self.counted_for) {
            (Known::Row, _) | (_, CountedFor::Nobody) => None,
            (Known::Rejection, _) if !self.keep.event => None,
            (_, CountedFor::Tenant) => Some(self.refusal.counted_tenant()),
            (_, CountedFor::Unknown) => Some("unknown"),
        }
    }

    /// Asks for less, after PostgreSQL refused it as it is: first the event loses its JSON form, then it is only counted,
    /// then for `unknown`, and at last not at all. So every refusal ends, whatever it holds.
    pub(super) fn ask_for_less(&mut self) {
        match (&mut self.refusal.content, self.keep, self.counted_for) {
            (Content::Json(json), Keep { event: true, .. }, _)
            | (Content::Json(json), Keep { mirror: true, .. }, _) => {
                self.refusal.content = Content::Raw(Bytes::from(std::mem::take(json)));
            }
            (_, Keep { event: false, mirror: false }, CountedFor::Tenant) => self.counted_for = CountedFor::Unknown,
            (_, Keep { event: false, mirror: false }, _) => self.counted_for = CountedFor::Nobody,
            _ => (self.keep, self.is_only_counted) = (Keep::COUNTED, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_refused_asks_for_less_until_nothing_is_left_to_refuse() {
        let refusal = QuarantineRecord {
            rejection: Rejection::from(Reason::TokenInvalid),
            topic: String::new(),
            tenant_id: Some("a".to_owned()),
            site_id: None,
            device_id: None,
            msg_type: None,
            of_unknown_tenant: false,
            event_us: None,
            content: Content::Json("{}".to_owned()),
        };
        let origin = Origin { stream: "TELEMETRY".into(), stream_seq: 1, received_us: 0 };
        let mut refused = PendingQuarantine::of(origin, refusal, Keep { event: true, mirror: true });
        let mut steps = Vec::new();
        for _ in 0..5 {
            steps.push((refused.keep.event, refused.counted_tenant().map(str::to_owned)));
            refused.ask_for_less();
        }
        let (tenant, unknown) = (Some("a".to_owned()), Some("unknown".to_owned()));
        assert_eq!(
            steps,
            [(true, tenant.clone()), (true, tenant.clone()), (false, tenant), (false, unknown), (false, None)]
        );
    }
}
