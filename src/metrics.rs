//! Every metric of the crate, and the lanes' ledgers.
//!
//! Rooms add whole chunks at a time, never single events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delivery::Lane;

/// A lane's account: `received = acked + nacked + termed + in_flight`, at every moment. It changes under one lock, so
/// that no scrape sees it out of balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Deliveries handed to us.
    pub received: u64,
    /// Settled as done.
    pub acked: u64,
    /// Settled as to be delivered again.
    pub nacked: u64,
    /// Settled as never to be delivered again.
    pub termed: u64,
    /// Not settled yet.
    pub in_flight: u64,
}

/// The ledgers of all lanes.
#[derive(Debug, Default)]
pub struct Ledgers([Mutex<Ledger>; 3]);

impl Ledgers {
    /// A lane's ledger, locked: change it in one go.
    pub fn lane(&self, lane: Lane) -> MutexGuard<'_, Ledger> {
        self.0[lane as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
