//! Which tenants may be replayed now: neither those whose last portion is still on its way, nor those it failed for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::core::backoff::Backoff;

/// First and longest rest after a replay that left something owed.
const REST_MS: (u64, u64) = (500, 30_000);

/// The tenants that are replayed or rest.
#[derive(Debug, Default)]
pub struct Tenants(HashMap<Arc<str>, Tenant>);

#[derive(Debug)]
struct Tenant {
    /// The claims of the portion that is on its way.
    open: HashSet<i64>,
    /// Whether anything of it stayed owed.
    failed: bool,
    rest: Backoff,
    rests_until: Option<Instant>,
}

impl Tenants {
    /// Claims of a tenant are on their way.
    pub fn begin(&mut self, tenant_id: &Arc<str>, ids: &[i64]) {
        let fresh = || Tenant {
            open: HashSet::new(),
            failed: false,
            rest: Backoff::new(REST_MS.0, REST_MS.1),
            rests_until: None,
        };
        let tenant = self.0.entry(tenant_id.clone()).or_insert_with(fresh);
        if tenant.open.is_empty() {
            tenant.failed = false;
        }
        tenant.open.extend(ids);
    }

    /// They have ended. `random` is a number from 0 to 1 by chance.
    pub fn end(&mut self, tenant_id: &str, ids: &[i64], is_clear: bool, now: Instant, random: f64) {
        let Some(tenant) = self.0.get_mut(tenant_id) else { return };
        for id in ids {
            tenant.open.remove(id);
        }
        tenant.failed |= !is_clear;
        if !tenant.open.is_empty() {
            return;
        }
        if tenant.failed {
            tenant.rests_until = Some(now + tenant.rest.next(random));
        } else {
            self.0.remove(tenant_id);
        }
    }

    /// Those of which nothing is to be claimed.
    pub fn unavailable(&self, now: Instant) -> Vec<Arc<str>> {
        let is_unavailable =
            |tenant: &Tenant| !tenant.open.is_empty() || tenant.rests_until.is_some_and(|until| now < until);
        self.0.iter().filter(|(_, tenant)| is_unavailable(tenant)).map(|(tenant_id, _)| tenant_id.clone()).collect()
    }

    /// All claims that are on their way.
    pub fn claims(&self) -> Vec<i64> {
        self.0.values().flat_map(|tenant| tenant.open.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tenant_is_left_alone_until_its_portion_has_ended() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        tenants.begin(&acme, &[1, 2]);
        tenants.begin(&acme, &[3]);
        tenants.end("acme", &[1, 2], true, now, 1.0);
        assert_eq!((tenants.unavailable(now), tenants.claims()), (vec![acme.clone()], vec![3]));
        tenants.end("acme", &[3], true, now, 1.0);
        assert!(tenants.unavailable(now).is_empty());
    }

    #[test]
    fn a_tenant_that_stays_in_debt_rests_longer_every_time() {
        let (mut tenants, now) = (Tenants::default(), Instant::now());
        let acme: Arc<str> = "acme".into();
        for rest in [500, 1_000, 2_000] {
            tenants.begin(&acme, &[7]);
            tenants.end("acme", &[7], false, now, 1.0);
            assert_eq!(tenants.unavailable(now + Duration::from_millis(rest - 1)), std::slice::from_ref(&acme));
            assert!(tenants.unavailable(now + Duration::from_millis(rest)).is_empty());
        }
    }
}
