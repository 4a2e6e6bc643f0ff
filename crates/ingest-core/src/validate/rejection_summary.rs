//! Rejections of a period by reason and tenant, with who sent most of them. Bounded: senders choose tenants and names.

use std::collections::BTreeMap;

use crate::flow::top_counts::TopCounts;
use crate::message::rejection::Reason;
use crate::validate::event::QuarantineRecord;

/// Pairs of reason and tenant told apart in a period.
const MOST_PAIRS: usize = 50;
/// What the tenants beyond are summed as.
const OTHERS: &str = "others";
/// A reason that comes more often than this in a period is a flood.
const FLOOD: u64 = 1_000;
/// Senders of a pair that are counted, and named of a flood.
const SENDERS: usize = 64;
const NAMED: usize = 5;

/// The rejections of the period under way.
#[derive(Debug, Default)]
pub struct RejectionSummary {
    /// How many pairs there are, [`OTHERS`] left aside.
    pairs: usize,
    reasons: BTreeMap<Reason, OfReason>,
}

#[derive(Debug, Default)]
struct OfReason {
    count: u64,
    tenants: BTreeMap<String, OfTenant>,
}

#[derive(Debug)]
struct OfTenant {
    count: u64,
    senders: TopCounts,
}

impl Default for OfTenant {
    fn default() -> Self {
        Self { count: 0, senders: TopCounts::new(SENDERS) }
    }
}

/// What a period had of a reason and tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    /// The reason.
    pub reason: Reason,
    /// The tenant that it is counted for, `unknown`, or `others`.
    pub tenant: String,
    /// How many.
    pub count: u64,
    /// Of a flood, who sent most of them: names and counts, the most frequent first. Empty otherwise.
    pub top_senders: String,
}

impl RejectionSummary {
    /// Counts a rejection.
    pub fn add(&mut self, rejected: &QuarantineRecord) {
        let of_reason = self.reasons.entry(rejected.rejection.reason).or_default();
        of_reason.count += 1;
        let tenant = rejected.counted_tenant();
        let tenant = if of_reason.tenants.contains_key(tenant) {
            tenant
        } else if self.pairs < MOST_PAIRS {
            self.pairs += 1;
            tenant
        } else {
            OTHERS
        };
        let of_tenant = match of_reason.tenants.get_mut(tenant) {
            Some(known) => known,
            None => of_reason.tenants.entry(tenant.to_owned()).or_default(),
        };
        of_tenant.count += 1;
        if let Some(device) = &rejected.device_id {
            match &rejected.tenant_id {
                // The line names another tenant than the sender's.
                Some(own) if own != tenant => of_tenant.senders.count(&format!("{own}/{device}")),
                _ => of_tenant.senders.count(device),
            }
        }
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// How often each reason and tenant came in the period so far.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, &str, u64)> {
        self.reasons.iter().flat_map(|(reason, of_reason)| {
            of_reason.tenants.iter().map(|(tenant, of_tenant)| (*reason, tenant.as_str(), of_tenant.count))
        })
    }

    /// Ends the period: what it had, by reason and tenant.
    pub fn take(&mut self) -> Vec<SummaryLine> {
        let Self { reasons, .. } = std::mem::take(self);
        let lines = reasons.into_iter().flat_map(|(reason, OfReason { count: all, tenants })| {
            tenants.into_iter().map(move |(tenant, OfTenant { count, senders })| {
                let top_senders = if all > FLOOD { name(&senders) } else { String::new() };
                SummaryLine { reason, tenant, count, top_senders }
            })
        });
        lines.collect()
    }
}

/// `dev-1 (5812), dev-2 (at least 40)`.
fn name(senders: &TopCounts) -> String {
    let top = senders.top(NAMED).into_iter().filter(|sender| sender.at_least > 0);
    let named = top.map(|sender| {
        let bound = if sender.is_exact { "" } else { "at least " };
        format!("{} ({bound}{})", printable(sender.name), sender.at_least)
    });
    named.collect::<Vec<_>>().join(", ")
}

/// A sender's name on one line of a log.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::quarantine_content::Content;
    use crate::message::rejection::Rejection;

    fn rejected(reason: Reason, tenant: &str, device: &str) -> QuarantineRecord {
        QuarantineRecord {
            rejection: Rejection::from(reason),
            topic: String::new(),
            tenant_id: Some(tenant.to_owned()),
            site_id: None,
            device_id: Some(device.to_owned()),
            msg_type: None,
            of_unknown_tenant: false,
            event_us: None,
            content: Content::Json("{}".to_owned()),
        }
    }

    fn line(reason: Reason, tenant: &str, count: u64, top_senders: &str) -> SummaryLine {
        SummaryLine { reason, tenant: tenant.to_owned(), count, top_senders: top_senders.to_owned() }
    }

    #[test]
    fn rejections_are_summed_by_reason_and_tenant_and_forgotten_with_their_period() {
        let mut summary = RejectionSummary::default();
        for (reason, tenant) in [
            (Reason::TokenInvalid, "b"),
            (Reason::TokenInvalid, "a"),
            (Reason::DeviceRevoked, "a"),
            (Reason::TokenInvalid, "b"),
        ] {
            summary.add(&rejected(reason, tenant, "d"));
        }
        let so_far: Vec<_> = summary.counts().collect();
        let expected =
            [(Reason::DeviceRevoked, "a", 1), (Reason::TokenInvalid, "a", 1), (Reason::TokenInvalid, "b", 2)];
        assert_eq!(so_far, expected);
        let expected = [
            line(Reason::DeviceRevoked, "a", 1, ""),
            line(Reason::TokenInvalid, "a", 1, ""),
            line(Reason::TokenInvalid, "b", 2, ""),
        ];
        assert_eq!(summary.take(), expected);
        assert!(summary.is_empty() && summary.take().is_empty());
    }

    #[test]
    fn a_flood_names_the_five_senders_that_sent_most() {
        let mut summary = RejectionSummary::default();
        for number in 0..2_000 {
            summary.add(&rejected(Reason::DeviceRevoked, "a", &format!("dev-{}", number % 7)));
            summary.add(&rejected(Reason::DeviceRevoked, "a", "loud\\nest"));
        }
        let lines = summary.take();
        let expected = "loud\\nest (2000), dev-0 (286), dev-1 (286), dev-2 (286), dev-3 (286)";
        assert_eq!(lines, [line(Reason::DeviceRevoked, "a", 4_000, expected)]);
    }

    #[test]
    fn senders_of_unknown_tenants_are_named_with_them_and_cannot_break_a_line() {
        let mut summary = RejectionSummary::default();
        let stranger =
            QuarantineRecord { of_unknown_tenant: true, ..rejected(Reason::UnregisteredDevice, "x", "d\n1") };
        (0..=FLOOD).for_each(|_| summary.add(&stranger));
        let expected = format!("x/d{}1 (1001)", char::REPLACEMENT_CHARACTER);
        assert_eq!(summary.take(), [line(Reason::UnregisteredDevice, "unknown", 1_001, &expected)]);
    }

    #[test]
    fn tenants_beyond_the_bound_are_summed_as_others() {
        let mut summary = RejectionSummary::default();
        for number in 0..3 * MOST_PAIRS {
            for _ in 0..2 {
                summary.add(&rejected(Reason::TokenInvalid, &number.to_string(), "d"));
            }
        }
        let lines = summary.take();
        let (others, told_apart): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.tenant == OTHERS);
        assert!(told_apart.len() == MOST_PAIRS && told_apart.iter().all(|line| line.count == 2));
        assert_eq!(others, [line(Reason::TokenInvalid, OTHERS, 4 * MOST_PAIRS as u64, "")]);
    }
}
