//! Quota per tenant: how many lines may be claimed of it now. Several claim batches at once where they end well; after a
//! failure a backoff, and then, half-open, a single entry that shows whether its database takes writes again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ingest_core::flow::backoff::Backoff;

/// First and longest backoff after a redelivery that was not confirmed.
const BACKOFF_MS: (u64, u64) = (500, 30_000);

/// What is claimed of a half-open tenant: one entry, as at least one is always claimed.
const PROBE_LINES: i64 = 1;

/// The tenants that have claims under way or are in backoff.
#[derive(Debug, Default)]
pub(super) struct Tenants(HashMap<Arc<str>, Tenant>);

#[derive(Debug)]
struct Tenant {
    /// The claims under way, and the lines they stand for.
    open: HashMap<i64, i64>,
    /// Has failures until a half-open tenant's entry is confirmed.
    backoff: Backoff,
    retry_at: Option<Instant>,
}

/// Bounds per tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Lines that are claimed at once.
    pub claim_lines: i64,
    /// Lines that may be under way.
    pub open_lines: i64,
}

/// What may be claimed of a tenant that is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Whose.
    pub tenant_id: Arc<str>,
    /// Lines under way.
    pub open_lines: i64,
    /// Lines that may be claimed.
    pub lines: i64,
}

impl Tenant {
    fn open_lines(&self) -> i64 {
        self.open.values().sum()
    }

    fn is_in_backoff(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| now < at)
    }

    fn quota(&self, bounds: Bounds, now: Instant) -> i64 {
        match (self.is_in_backoff(now), self.backoff.failures()) {
            (true, _) => 0,
            (false, 0) => (bounds.open_lines - self.open_lines()).clamp(0, bounds.claim_lines),
            (false, _) if self.open.is_empty() => PROBE_LINES,
            (false, _) => 0,
        }
    }
}

impl Tenants {
    /// Claims of a tenant are under way; they will be released together.
    pub(super) fn begin(&mut self, tenant_id: &Arc<str>, ids: &[i64], lines: i64) {
        let new = || Tenant { open: HashMap::new(), backoff: Backoff::new(BACKOFF_MS.0, BACKOFF_MS.1), retry_at: None };
        let tenant = self.0.entry(tenant_id.clone()).or_insert_with(new);
        // As they are released together, it does not matter whose lines they are.
        tenant.open.extend(ids.iter().enumerate().map(|(at, id)| (*id, if at == 0 { lines } else { 0 })));
    }

    /// They are released. `random` is a random number from 0 to 1.
    pub(super) fn end(&mut self, tenant_id: &str, ids: &[i64], is_clear: bool, now: Instant, random: f64) {
        let Some(tenant) = self.0.get_mut(tenant_id) else { return };
        for id in ids {
            tenant.open.remove(id);
        }
        // Claims that are released during a backoff were under way when it began: they say nothing of the time since.
        match (tenant.is_in_backoff(now), is_clear) {
            (true, _) => {}
            (false, true) => (tenant.retry_at, _) = (None, tenant.backoff.reset()),
            (false, false) => tenant.retry_at = Some(now + tenant.backoff.next(random)),
        }
        if tenant.open.is_empty() && tenant.backoff.failures() == 0 {
            self.0.remove(tenant_id);
        }
    }

    /// What may be claimed of each that is known; of any other, a claim batch.
    pub(super) fn quotas(&self, bounds: Bounds, now: Instant) -> Vec<Quota> {
        let quota = |(tenant_id, tenant): (&Arc<str>, &Tenant)| Quota {
            tenant_id: tenant_id.clone(),
            open_lines: tenant.open_lines(),
            lines: tenant.quota(bounds, now),
        };
        self.0.iter().map(quota).collect()
    }

    /// Whether this claim is under way already: a node that was taken for dead may claim its own entries again.
    pub(super) fn is_open(&self, tenant_id: &str, id: i64) -> bool {
        self.0.get(tenant_id).is_some_and(|tenant| tenant.open.contains_key(&id))
    }

    /// All claims under way.
    pub(super) fn claims(&self) -> Vec<i64> {
        self.0.values().flat_map(|tenant| tenant.open.keys().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { claim_lines: 10, open_lines: 25 };

    /// Lines under way and lines that may be claimed; `None` where the tenant is not known.
    fn of(tenants: &Tenants, now: Instant) -> Option<(i64, i64)> {
        tenants.quotas(BOUNDS, now).first().map(|quota| (quota.open_lines, quota.lines))
    }

    #[test]
    fn several_claim_batches_of_a_tenant_are_open_at_once_up_to_a_bound() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        tenants.begin(&acme, &[1, 2], 10);
        assert_eq!(of(&tenants, now), Some((10, 10)));
        assert!(tenants.is_open("acme", 2) && !tenants.is_open("acme", 3) && !tenants.is_open("zeta", 2));
        tenants.begin(&acme, &[3], 10);
        assert_eq!(of(&tenants, now), Some((20, 5)));
        tenants.begin(&acme, &[4], 10);
        assert_eq!(of(&tenants, now), Some((30, 0)), "a claim may be larger than the quota");
        tenants.end("acme", &[1, 2], true, now, 1.0);
        assert_eq!(of(&tenants, now), Some((20, 5)));
        tenants.end("acme", &[3], true, now, 1.0);
        tenants.end("acme", &[4], true, now, 1.0);
        assert_eq!((of(&tenants, now), tenants.claims()), (None, Vec::new()));
    }

    #[test]
    fn a_tenant_that_keeps_failing_backs_off_longer_every_time() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        let mut time = now;
        for backoff_ms in [500, 1_000, 2_000] {
            // All of a tenant's claims fail of the same outage: one backoff.
            tenants.begin(&acme, &[7], 10);
            tenants.begin(&acme, &[8], 10);
            tenants.end("acme", &[7], false, time, 1.0);
            tenants.end("acme", &[8], false, time, 1.0);
            time += Duration::from_millis(backoff_ms);
            assert_eq!(of(&tenants, time - Duration::from_millis(1)), Some((0, 0)));
            assert_eq!(of(&tenants, time), Some((0, PROBE_LINES)));
        }
        tenants.begin(&acme, &[9], 10);
        assert_eq!(of(&tenants, time), Some((10, 0)), "half-open: one claim at a time");
        tenants.end("acme", &[9], true, time, 1.0);
        assert_eq!(of(&tenants, time), None);
    }

    proptest! {
        #[test]
        fn no_tenant_has_more_under_way_than_the_bound_and_one_claim(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..2_000, 1_i64..=10), 0..200),
        ) {
            let (mut tenants, mut now, acme) = (Tenants::default(), Instant::now(), Arc::from("acme"));
            let (mut open, mut next) = (Vec::new(), 0);
            for (claims, is_clear, pause_ms, lines) in steps {
                now += Duration::from_millis(pause_ms);
                let quota = of(&tenants, now).map_or(BOUNDS.claim_lines, |(_, lines)| lines);
                if claims && quota > 0 {
                    next += 1;
                    tenants.begin(&acme, &[next], lines);
                    open.push((next, lines));
                } else if !open.is_empty() {
                    let (id, _) = open.remove(0);
                    tenants.end("acme", &[id], is_clear, now, 0.5);
                }
                let expected: i64 = open.iter().map(|(_, lines)| lines).sum();
                let (found, quota) = of(&tenants, now).unwrap_or((0, BOUNDS.claim_lines));
                prop_assert_eq!(found, expected);
                prop_assert!(found <= BOUNDS.open_lines + BOUNDS.claim_lines && quota <= BOUNDS.claim_lines);
            }
            now += Duration::from_secs(60);
            for (id, _) in open {
                tenants.end("acme", &[id], true, now, 0.5);
            }
            let quota = of(&tenants, now + Duration::from_secs(60)).map_or(BOUNDS.claim_lines, |(_, lines)| lines);
            prop_assert!(quota > 0, "a tenant is never claimed of again");
        }
    }
}
