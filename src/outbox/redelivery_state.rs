//! What the maintainer and redelivery share: what is under way for each tenant, and how fast it is confirmed.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::rates::Rates;
use super::tenants::Tenants;

/// The state of redelivery: redelivery claims by it, the maintainer keeps it up to date.
#[derive(Debug, Default)]
pub(crate) struct RedeliveryState {
    tenants: Mutex<Tenants>,
    rates: Mutex<Rates>,
    claimable: Notify,
}

impl RedeliveryState {
    /// What may be claimed of each tenant.
    pub(super) fn tenants(&self) -> MutexGuard<'_, Tenants> {
        lock(&self.tenants)
    }

    /// How fast each tenant's backlog is worked off.
    pub(super) fn rates(&self) -> MutexGuard<'_, Rates> {
        lock(&self.rates)
    }

    /// Wakes redelivery: more may be claimable now.
    pub(super) fn notify_claimable(&self) {
        self.claimable.notify_one();
    }

    /// Waits for the next [`RedeliveryState::notify_claimable`]; one since the last wait counts.
    pub(super) async fn claimable(&self) {
        self.claimable.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
