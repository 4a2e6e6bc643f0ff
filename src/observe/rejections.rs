//! Rejections by reason, over five minutes, and by tenant, over the last one or two.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::rates::Rates;
use super::snapshot::{ReasonState, Rejections, TenantRejections};
use crate::metrics::{Metrics, TenantRejection};
use ingest_core::message::rejection::Reason;

/// How far back the counts of a reason go, and how often they are remembered.
const WINDOW: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_secs(10);
/// Tenants and reasons that are shown.
const MOST_PAIRS: usize = 20;

type Counts = [u64; Reason::ALL.len()];

/// What each reason had counted at some moments of the last minutes.
#[derive(Debug, Default)]
pub(super) struct RecentReasons(VecDeque<(Instant, Counts)>);

impl RecentReasons {
    /// The rejections until now.
    pub(super) fn read(&mut self, metrics: &Metrics, rates: &mut Rates, now: Instant) -> Rejections {
        let totals = Reason::ALL.map(|reason| metrics.validation.rejections.of(reason).get());
        let earlier = self.before(totals, now);
        let mut reasons: Vec<ReasonState> = Reason::ALL
            .iter()
            .enumerate()
            .filter(|(place, _)| totals[*place] > 0)
            .map(|(place, reason)| ReasonState {
                reason: reason.as_str().to_owned(),
                total: totals[place],
                last_five_minutes: totals[place] - earlier[place],
                per_second: rates.of(format!("rejected {reason}"), totals[place]),
            })
            .collect();
        reasons.sort_by_key(|reason| Reverse((reason.last_five_minutes, reason.total)));
        let readings = [&metrics.postgres.recent_rejections, &metrics.postgres.recent_rejected_points];
        let pairs = readings.into_iter().filter_map(|reading| reading.read()).flatten();
        Rejections { reasons, tenants: most_frequent(pairs.collect()) }
    }

    /// The counts of five minutes ago, or of the oldest moment that is remembered.
    fn before(&mut self, totals: Counts, now: Instant) -> Counts {
        if self.0.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= STEP) {
            // The first is from before anything came.
            let counts = if self.0.is_empty() { [0; Reason::ALL.len()] } else { totals };
            self.0.push_back((now, counts));
        }
        // One that is older than the window stays: it is the one to compare with.
        while self.0.get(1).is_some_and(|(next, _)| now.saturating_duration_since(*next) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.front().map_or(totals, |(_, counts)| *counts)
    }
}

fn most_frequent(mut pairs: Vec<TenantRejection>) -> Vec<TenantRejections> {
    pairs.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.tenant.cmp(&other.tenant)));
    pairs.truncate(MOST_PAIRS);
    let shown = |pair: TenantRejection| TenantRejections {
        tenant: pair.tenant,
        reason: pair.reason.as_str().to_owned(),
        count: pair.count,
    };
    pairs.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_over_five_minutes_and_remembered_in_bounded_memory() {
        let (metrics, mut recent, mut rates) = (Metrics::new(), RecentReasons::default(), Rates::default());
        let start = Instant::now();
        let mut at = |second: u64| {
            rates.begin(Some(Duration::from_secs(1)));
            let read = recent.read(&metrics, &mut rates, start + Duration::from_secs(second));
            let five = |reason: Reason| {
                let found = read.reasons.iter().find(|of| of.reason == reason.as_str());
                found.map(|of| of.last_five_minutes)
            };
            let first = read.reasons.first().map(|of| of.reason.clone());
            (first, five(Reason::TokenInvalid), five(Reason::RateLimited), recent.0.len())
        };
        metrics.validation.rejections.of(Reason::TokenInvalid).inc_by(5);
        assert_eq!(at(0), (Some("TOKEN_INVALID".to_owned()), Some(5), None, 1), "those from before the first reading");
        (1..200).for_each(|second| drop(at(second)));
        metrics.validation.rejections.of(Reason::RateLimited).inc_by(2);
        assert_eq!(at(200).1, Some(5));
        (201..310).for_each(|second| drop(at(second)));
        let (first, token, rate, _) = at(310);
        assert_eq!((first.as_deref(), token, rate), (Some("RATE_LIMITED"), Some(0), Some(2)));
        (311..2_000).for_each(|second| drop(at(second)));
        assert!(at(2_000).3 <= 32);
    }

    #[test]
    fn the_tenants_that_were_rejected_most_come_first() {
        let metrics = Metrics::new();
        let pair = |reason, tenant: &str, count| TenantRejection { reason, tenant: tenant.to_owned(), count };
        let many: Vec<_> = (0..60).map(|n| pair(Reason::TokenInvalid, &format!("t{n}"), n)).collect();
        metrics.postgres.recent_rejections.read_from(move || many.clone());
        let points = vec![pair(Reason::PointRefused, "acme", 1_000)];
        metrics.postgres.recent_rejected_points.read_from(move || points.clone());
        let read = RecentReasons::default().read(&metrics, &mut Rates::default(), Instant::now());
        let shown: Vec<_> = read.tenants.iter().map(|of| (of.tenant.as_str(), of.count)).collect();
        assert_eq!((shown.len(), shown[0], shown[1]), (MOST_PAIRS, ("acme", 1_000), ("t59", 59)));
    }
}
