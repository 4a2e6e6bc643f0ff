//! Verdicts of a batch on their way to the consumers.

use std::sync::Arc;

use ingest_core::flow::disposition::Verdict;

use super::guard::DeliveryGuard;
use super::settle::{SettleHandle, Settled};

/// Verdicts collected over a batch, so that each lane's consumer gets one message. Dropped, it tells what it has collected:
/// a verdict that was given is never forgotten.
#[derive(Debug, Default)]
pub struct Settlement {
    lanes: Vec<(Arc<SettleHandle>, Vec<Settled>)>,
}

impl Settlement {
    /// Gives a delivery its verdict.
    pub fn add(&mut self, mut guard: DeliveryGuard, verdict: Verdict) {
        let Some((settle_handle, settled)) = guard.end(verdict) else { return };
        match self.lanes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &settle_handle)) {
            Some((_, all)) => all.push(settled),
            None => self.lanes.push((settle_handle, vec![settled])),
        }
    }

    /// Tells the consumers.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        for (settle_handle, settled) in self.lanes.drain(..) {
            settle_handle.send(settled);
        }
    }
}
