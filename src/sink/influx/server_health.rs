//! How InfluxDB does, as all batchers of the node find out together: how long it takes, and for which tenants it does not
//! take writes. The latter is one message in `/ready`, which does not make it a 503: nothing is lost meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::runtime::readiness::{Condition, Readiness};

/// A failure that lasts so long is reported.
pub(super) const SAID_AFTER: Duration = Duration::from_secs(5);

/// A server that is slow and well is given so many times as long as it took lately, up to a bound.
const PATIENCE: u32 = 3;
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// A request that was sent so much later and is answered shows that the earlier one hangs. All writes of InfluxDB 3 wait
/// for the same flush of its log, so that a slow flush lets no request overtake another but by the time of their bodies.
const OVERTAKEN_BY: Duration = Duration::from_secs(1);

/// The node's view of the server.
#[derive(Debug)]
pub(super) struct ServerHealth {
    readiness: Arc<Readiness>,
    /// Why each tenant's database takes no writes, where that is reported.
    alerts: Mutex<BTreeMap<Arc<str>, String>>,
    started: Instant,
    /// How long the slowest of the recent writes took.
    slowest_ms: AtomicU64,
    /// When the latest of the writes that were answered was sent, from `started` on.
    latest_ms: AtomicU64,
}

impl ServerHealth {
    /// Nothing is known yet: taken for working.
    pub(super) fn new(readiness: Arc<Readiness>) -> Arc<Self> {
        readiness.up(Condition::Influx);
        Arc::new(Self {
            readiness,
            alerts: Mutex::default(),
            started: Instant::now(),
            slowest_ms: AtomicU64::new(0),
            latest_ms: AtomicU64::new(0),
        })
    }

    /// A write that was sent then has succeeded. The slowest one is forgotten little by little, so races do no harm.
    pub(super) fn written(&self, sent: Instant, now: Instant) {
        let (took, before) = (millis(now - sent), self.slowest_ms.load(Ordering::Relaxed));
        self.slowest_ms.store(took.max(before - before / 16), Ordering::Relaxed);
        self.latest_ms.fetch_max(millis(sent - self.started), Ordering::Relaxed);
    }

    /// How long a request may go unanswered before that is reported.
    pub(super) fn patience(&self) -> Duration {
        let usual = Duration::from_millis(self.slowest_ms.load(Ordering::Relaxed));
        (usual * PATIENCE).clamp(SAID_AFTER, LONGEST_PATIENCE)
    }

    /// Whether a request that was sent after this one, by whichever tenant, is answered already.
    pub(super) fn is_overtaken(&self, sent: Instant) -> bool {
        let latest = Duration::from_millis(self.latest_ms.load(Ordering::Relaxed));
        sent + OVERTAKEN_BY <= self.started + latest
    }

    /// A tenant's alert, not raised yet.
    pub(super) fn alert_of(self: &Arc<Self>, tenant_id: Arc<str>) -> TenantAlert {
        TenantAlert { condition: self.clone(), tenant_id, raised: None }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Arc<str>, String>)) {
        let mut alerts = self.alerts.lock();
        change(&mut alerts);
        let Some(why) = alerts.values().next_back() else { return self.readiness.up(Condition::Influx) };
        let tenants = alerts.len();
        let whose = if tenants == 1 { "tenant's database does" } else { "tenants' databases do" };
        let why = format!("{tenants} {whose} not take writes now, their points are kept: {why}");
        self.readiness.down(Condition::Influx, why);
    }
}

/// One tenant's alert, which is settled when it is dropped.
#[derive(Debug)]
pub(super) struct TenantAlert {
    condition: Arc<ServerHealth>,
    tenant_id: Arc<str>,
    /// Why, where it is raised.
    raised: Option<String>,
}

impl TenantAlert {
    /// Reports why the tenant's database takes no writes; whether no tenant has the same alert.
    pub(super) fn raise(&mut self, why: &str) -> bool {
        if self.raised.as_deref() == Some(why) {
            return false;
        }
        let mut is_new = false;
        self.condition.change(|alerts| {
            is_new = alerts.values().all(|other| other != why);
            alerts.insert(self.tenant_id.clone(), why.to_owned());
        });
        self.raised = Some(why.to_owned());
        is_new
    }

    /// The database takes writes; whether that is new.
    pub(super) fn settle(&mut self) -> bool {
        if self.raised.take().is_none() {
            return false;
        }
        self.condition.change(|alerts| drop(alerts.remove(&self.tenant_id)));
        true
    }

    /// Whether it is raised.
    pub(super) fn is_raised(&self) -> bool {
        self.raised.is_some()
    }
}

impl Drop for TenantAlert {
    fn drop(&mut self) {
        self.settle();
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition() -> (Arc<Readiness>, Arc<ServerHealth>) {
        let readiness = Readiness::new();
        (readiness.clone(), ServerHealth::new(readiness))
    }

    #[test]
    fn what_several_tenants_suffer_is_one_note_until_the_last_of_them_is_well() {
        let (readiness, condition) = condition();
        let [mut one, mut other] = ["acme", "zeta"].map(|tenant| condition.alert_of(tenant.into()));
        assert!(one.raise("status 500") && !one.raise("status 500"), "new once");
        assert_eq!(
            readiness.messages(),
            ["influx: 1 tenant's database does not take writes now, their points are kept: status 500"]
        );
        assert!(!other.raise("status 500"));
        assert!(readiness.messages()[0].starts_with("influx: 2 tenants' databases do not take writes now"));
        assert!(one.settle() && !one.settle());
        assert!(readiness.messages()[0].starts_with("influx: 1 tenant's"));
        drop(other);
        assert!(readiness.messages().is_empty());
    }

    #[test]
    fn a_server_that_is_slow_and_well_is_given_more_time() {
        let (_, condition) = condition();
        assert_eq!(condition.patience(), SAID_AFTER);
        let sent = Instant::now();
        for (took, patience) in [(1, 5), (8, 24), (300, 30)] {
            condition.written(sent, sent + Duration::from_secs(took));
            assert_eq!(condition.patience(), Duration::from_secs(patience));
        }
        for _ in 0..200 {
            condition.written(sent, sent + Duration::from_millis(10));
        }
        assert_eq!(condition.patience(), SAID_AFTER, "what was slow once is forgotten");
    }

    #[test]
    fn a_request_is_overtaken_when_one_that_was_sent_later_is_answered() {
        let (_, condition) = condition();
        let sent = condition.started + Duration::from_secs(1);
        assert!(!condition.is_overtaken(sent));
        condition.written(sent + Duration::from_millis(900), sent + Duration::from_secs(9));
        assert!(!condition.is_overtaken(sent), "about the same time");
        condition.written(sent + Duration::from_secs(2), sent + Duration::from_secs(3));
        condition.written(sent, sent + Duration::from_secs(9));
        assert!(condition.is_overtaken(sent) && !condition.is_overtaken(sent + Duration::from_secs(2)));
    }
}
