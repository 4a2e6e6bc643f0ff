//! Which messages a tap is about.

use super::seen::{Decision, Outcome, TappedMessage};
use crate::message::rejection::Reason;
use crate::message::topic::Topic;

/// Which messages; what is `None` admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant, by their topic.
    pub tenant: Option<String>,
    /// Of this device, by their topic.
    pub device: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Rejected for this reason.
    pub reason: Option<Reason>,
}

impl Filter {
    /// Whether a message is one of them.
    pub fn admits(&self, seen: &TappedMessage<'_>) -> bool {
        let reason = match seen.verdict {
            Decision::Rejected(rejection) => Some(rejection.reason),
            _ => None,
        };
        self.outcome.is_none_or(|outcome| outcome == seen.verdict.outcome())
            && self.reason.is_none_or(|wanted| reason == Some(wanted))
            && ((self.tenant.is_none() && self.device.is_none()) || self.admits_device(seen))
    }

    fn admits_device(&self, seen: &TappedMessage<'_>) -> bool {
        seen.envelope.and_then(|envelope| Topic::parse(&envelope.topic)).is_some_and(|topic| {
            self.tenant.as_deref().is_none_or(|tenant| tenant == topic.tenant)
                && self.device.as_deref().is_none_or(|device| device == topic.device)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::envelope::Envelope;
    use crate::message::rejection::Rejection;

    #[test]
    fn every_condition_must_hold() {
        let envelope = Envelope { topic: "tenant/acme/device/dev-1/telemetry".into(), ..Envelope::default() };
        let rejection = Rejection::from(Reason::SiteMismatch);
        let (accepted, rejected) = (Decision::Accepted, Decision::Rejected(&rejection));
        let admits = |filter: &Filter, envelope: Option<&Envelope>, verdict| {
            let (stream, stream_seq, attempt, received_us, body) = ("TELEMETRY", 1, 1, 0, &b""[..]);
            filter.admits(&TappedMessage { stream, stream_seq, attempt, received_us, body, envelope, verdict })
        };
        let all = Filter::default();
        assert!(admits(&all, None, rejected) && admits(&all, Some(&envelope), accepted));
        let acme = Filter { tenant: Some("acme".to_owned()), ..Filter::default() };
        assert!(admits(&acme, Some(&envelope), accepted) && !admits(&acme, None, rejected));
        let other = Filter { device: Some("dev-2".to_owned()), ..acme.clone() };
        assert!(!admits(&other, Some(&envelope), accepted));
        let only = Filter { outcome: Some(Outcome::Rejected), ..acme };
        assert!(admits(&only, Some(&envelope), rejected) && !admits(&only, Some(&envelope), accepted));
        let reason = Filter { reason: Some(Reason::TokenInvalid), ..Filter::default() };
        assert!(!admits(&reason, Some(&envelope), rejected) && !admits(&reason, Some(&envelope), accepted));
    }

    #[test]
    fn a_name_is_its_outcomes() {
        assert!(Outcome::ALL.into_iter().all(|outcome| Outcome::of_name(outcome.as_str()) == Some(outcome)));
        assert_eq!(Outcome::of_name("ACCEPTED"), None);
    }
}
