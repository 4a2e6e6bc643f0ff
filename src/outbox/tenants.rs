//! How much of each tenant may be claimed now: several portions at once where they end well, a single row where the last
//! one did not, none while the tenant rests from that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ingest_core::flow::backoff::Backoff;

/// First and longest rest after a replay that left something owed.
const REST_MS: (u64, u64) = (500, 30_000);

/// What is claimed of a tenant on probation: one row, which is always taken.
const PROBE_LINES: i64 = 1;

/// The tenants that are replayed or rest.
#[derive(Debug, Default)]
pub(super) struct Tenants(HashMap<Arc<str>, Tenant>);

#[derive(Debug)]
struct Tenant {
    /// The claims that are on their way, and the lines they stand for.
    open: HashMap<i64, i64>,
    /// Has failures while the tenant is on probation: a single row shows whether its database takes writes again.
    rest: Backoff,
    rests_until: Option<Instant>,
}

/// Bounds in lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What is claimed of a tenant at once.
    pub portion: i64,
    /// What may be on its way.
    pub open: i64,
}

/// What may be claimed of a tenant that is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Whose.
    pub tenant_id: Arc<str>,
    /// Lines on their way.
    pub open: i64,
    /// Lines that may be claimed.
    pub more: i64,
}

impl Tenant {
    fn open_lines(&self) -> i64 {
        self.open.values().sum()
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn more(&self, bounds: Bounds, now: Instant) -> i64 {
        match (self.rests(now), self.rest.failures()) {
            (true, _) => 0,
            (false, 0) => (bounds.open - self.open_lines()).clamp(0, bounds.portion),
            (false, _) if self.open.is_empty() => PROBE_LINES,
            (false, _) => 0,
        }
    }
}

impl Tenants {
    /// Claims of a tenant are on their way; they will end together.
    pub(super) fn begin(&mut self, tenant_id: &Arc<str>, ids: &[i64], lines: i64) {
        let fresh = || Tenant { open: HashMap::new(), rest: Backoff::new(REST_MS.0, REST_MS.1), rests_until: None };
        let tenant = self.0.entry(tenant_id.clone()).or_insert_with(fresh);
        // As they end together, it does not matter whose lines they are.
        tenant.open.extend(ids.iter().enumerate().map(|(at, id)| (*id, if at == 0 { lines } else { 0 })));
    }

    /// They have ended. `random` is a number from 0 to 1 by chance.
    pub(super) fn end(&mut self, tenant_id: &str, ids: &[i64], is_clear: bool, now: Instant, random: f64) {
        let Some(tenant) = self.0.get_mut(tenant_id) else { return };
        for id in ids {
            tenant.open.remove(id);
        }
        // Portions that fail, or end well, during a rest were on their way when it began: they are no news.
        match (tenant.rests(now), is_clear) {
            (true, _) => {}
            (false, true) => (tenant.rests_until, _) = (None, tenant.rest.reset()),
            (false, false) => tenant.rests_until = Some(now + tenant.rest.next(random)),
        }
        if tenant.open.is_empty() && tenant.rest.failures() == 0 {
            self.0.remove(tenant_id);
        }
    }

    /// What may be claimed of each that is known; of any other, a portion.
    pub(super) fn allowances(&self, bounds: Bounds, now: Instant) -> Vec<Quota> {
        let allowance = |(tenant_id, tenant): (&Arc<str>, &Tenant)| Quota {
            tenant_id: tenant_id.clone(),
            open: tenant.open_lines(),
            more: tenant.more(bounds, now),
        };
        self.0.iter().map(allowance).collect()
    }

    /// Whether this claim is on its way already: a node that was taken for dead may claim its own rows again.
    pub(super) fn is_open(&self, tenant_id: &str, id: i64) -> bool {
        self.0.get(tenant_id).is_some_and(|tenant| tenant.open.contains_key(&id))
    }

    /// All claims that are on their way.
    pub(super) fn claims(&self) -> Vec<i64> {
        self.0.values().flat_map(|tenant| tenant.open.keys().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { portion: 10, open: 25 };

    /// Lines on their way and lines that may be claimed; `None` where the tenant is not known.
    fn of(tenants: &Tenants, now: Instant) -> Option<(i64, i64)> {
        tenants.allowances(BOUNDS, now).first().map(|allowance| (allowance.open, allowance.more))
    }

    #[test]
    fn several_portions_of_a_tenant_are_open_at_once_up_to_a_bound() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        tenants.begin(&acme, &[1, 2], 10);
        assert_eq!(of(&tenants, now), Some((10, 10)));
        assert!(tenants.is_open("acme", 2) && !tenants.is_open("acme", 3) && !tenants.is_open("zeta", 2));
        tenants.begin(&acme, &[3], 10);
        assert_eq!(of(&tenants, now), Some((20, 5)));
        tenants.begin(&acme, &[4], 10);
        assert_eq!(of(&tenants, now), Some((30, 0)), "a claim may be larger than what was allowed");
        tenants.end("acme", &[1, 2], true, now, 1.0);
        assert_eq!(of(&tenants, now), Some((20, 5)));
        tenants.end("acme", &[3], true, now, 1.0);
        tenants.end("acme", &[4], true, now, 1.0);
        assert_eq!((of(&tenants, now), tenants.claims()), (None, Vec::new()));
    }

    #[test]
    fn a_tenant_that_stays_in_debt_rests_longer_every_time() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        let mut time = now;
        for rest in [500, 1_000, 2_000] {
            // All of a tenant's portions fail of the same outage: one rest.
            tenants.begin(&acme, &[7], 10);
            tenants.begin(&acme, &[8], 10);
            tenants.end("acme", &[7], false, time, 1.0);
            tenants.end("acme", &[8], false, time, 1.0);
            time += Duration::from_millis(rest);
            assert_eq!(of(&tenants, time - Duration::from_millis(1)), Some((0, 0)));
            assert_eq!(of(&tenants, time), Some((0, PROBE_LINES)));
        }
        tenants.begin(&acme, &[9], 10);
        assert_eq!(of(&tenants, time), Some((10, 0)), "on probation: one claim at a time");
        tenants.end("acme", &[9], true, time, 1.0);
        assert_eq!(of(&tenants, time), None);
    }

    proptest! {
        #[test]
        fn no_tenant_has_more_on_its_way_than_the_bound_and_one_claim(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..2_000, 1_i64..=10), 0..200),
        ) {
            let (mut tenants, mut now, acme) = (Tenants::default(), Instant::now(), Arc::from("acme"));
            let (mut open, mut next) = (Vec::new(), 0);
            for (claims, is_clear, pause_ms, lines) in steps {
                now += Duration::from_millis(pause_ms);
                let more = of(&tenants, now).map_or(BOUNDS.portion, |(_, more)| more);
                if claims && more > 0 {
                    next += 1;
                    tenants.begin(&acme, &[next], lines);
                    open.push((next, lines));
                } else if !open.is_empty() {
                    let (id, _) = open.remove(0);
                    tenants.end("acme", &[id], is_clear, now, 0.5);
                }
                let expected: i64 = open.iter().map(|(_, lines)| lines).sum();
                let (found, more) = of(&tenants, now).unwrap_or((0, BOUNDS.portion));
                prop_assert_eq!(found, expected);
                prop_assert!(found <= BOUNDS.open + BOUNDS.portion && more <= BOUNDS.portion);
            }
            now += Duration::from_secs(60);
            for (id, _) in open {
                tenants.end("acme", &[id], true, now, 0.5);
            }
            let more = of(&tenants, now + Duration::from_secs(60)).map_or(BOUNDS.portion, |(_, more)| more);
            prop_assert!(more > 0, "a tenant is left alone for ever");
        }
    }
}
