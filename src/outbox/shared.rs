//! What the outbox maintainer and redelivery have in common.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;

use super::rates::Rates;
use super::tenants::Tenants;

/// What those who keep, read and audit the record tell each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    tenants: Mutex<Tenants>,
    rates: Mutex<Rates>,
    news: Notify,
    state: Mutex<Value>,
}

impl Shared {
    /// What may be claimed of whom.
    pub(super) fn tenants(&self) -> MutexGuard<'_, Tenants> {
        lock(&self.tenants)
    }

    /// How fast debts are paid.
    pub(super) fn rates(&self) -> MutexGuard<'_, Rates> {
        lock(&self.rates)
    }

    /// Something may have become free to be claimed.
    pub(super) fn tell_news(&self) {
        self.news.notify_one();
    }

    /// Waits until it is told; what was told since the last time counts.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// What `/stats` tells.
    pub(super) fn state(&self) -> Value {
        lock(&self.state).clone()
    }

    /// What `/stats` tells from now on.
    pub(super) fn set_state(&self, state: Value) {
        *lock(&self.state) = state;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
