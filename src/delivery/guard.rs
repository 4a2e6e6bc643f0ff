//! The delivery guard: the duty to settle a delivery exactly once, whole or in legs.

use std::sync::Arc;

use ingest_core::flow::disposition::Verdict;
use parking_lot::Mutex;

use super::settle::{SettleHandle, Settled};

/// The duty to give a delivery its verdict.
#[derive(Debug)]
pub struct DeliveryGuard {
    slot: u64,
    settle_handle: Option<Arc<SettleHandle>>,
    legs: Option<Arc<AckLegs>>,
}

impl DeliveryGuard {
    /// The duty for the delivery that its consumer knows under the number `slot`.
    pub(super) fn new(slot: u64, settle_handle: Arc<SettleHandle>) -> Self {
        Self { slot, settle_handle: Some(settle_handle), legs: None }
    }

    /// Splits the duty into `count` legs; the delivery ends with the worst of their verdicts when the last one has ended.
    pub fn split(mut self, count: u32) -> Vec<DeliveryGuard> {
        let Some(settle_handle) = self.settle_handle.take() else { return Vec::new() };
        if count <= 1 {
            return vec![DeliveryGuard { slot: self.slot, settle_handle: Some(settle_handle), legs: self.legs.take() }];
        }
        let parent =
            DeliveryGuard { slot: self.slot, settle_handle: Some(settle_handle.clone()), legs: self.legs.take() };
        let legs = Arc::new(AckLegs(Mutex::new(Open { legs: count, worst: Verdict::Done, parent: Some(parent) })));
        (0..count)
            .map(|_| DeliveryGuard {
                slot: self.slot,
                settle_handle: Some(settle_handle.clone()),
                legs: Some(legs.clone()),
            })
            .collect()
    }

    /// Ends this duty; what is to be told to whom, where it was the last leg.
    pub(super) fn end(&mut self, verdict: Verdict) -> Option<(Arc<SettleHandle>, Settled)> {
        let settle_handle = self.settle_handle.take()?;
        match self.legs.take() {
            None => Some((settle_handle, Settled { slot: self.slot, verdict })),
            Some(legs) => legs.end(verdict),
        }
    }
}

impl Drop for DeliveryGuard {
    fn drop(&mut self) {
        if let Some((settle_handle, settled)) = self.end(Verdict::Lost) {
            settle_handle.send(vec![settled]);
        }
    }
}

/// The shared state of a delivery's legs.
#[derive(Debug)]
struct AckLegs(Mutex<Open>);

#[derive(Debug)]
struct Open {
    /// Legs that have not ended.
    legs: u32,
    worst: Verdict,
    parent: Option<DeliveryGuard>,
}

impl AckLegs {
    fn end(&self, verdict: Verdict) -> Option<(Arc<SettleHandle>, Settled)> {
        let mut open = self.0.lock();
        open.worst = open.worst.max(verdict);
        open.legs -= 1;
        if open.legs > 0 {
            return None;
        }
        let (parent, worst) = (open.parent.take(), open.worst);
        drop(open);
        parent.and_then(|mut guard| guard.end(worst))
    }
}
