//! The ack guard: the duty to settle a delivery exactly once, whole or in legs.

use std::sync::{Arc, Mutex, PoisonError};

use ingest_core::flow::disposition::Verdict;

use super::settle::{Desk, Settled};

/// The duty to give a delivery its verdict.
#[derive(Debug)]
pub struct Ticket {
    slot: u64,
    desk: Option<Arc<Desk>>,
    legs: Option<Arc<Legs>>,
}

impl Ticket {
    /// The duty for the delivery that its consumer knows under the number `slot`.
    pub(super) fn new(slot: u64, desk: Arc<Desk>) -> Self {
        Self { slot, desk: Some(desk), legs: None }
    }

    /// Splits the duty into `count` legs; the delivery ends with the worst of their verdicts when the last one has ended.
    pub fn split(mut self, count: u32) -> Vec<Ticket> {
        let Some(desk) = self.desk.take() else { return Vec::new() };
        if count <= 1 {
            return vec![Ticket { slot: self.slot, desk: Some(desk), legs: self.legs.take() }];
        }
        let parent = Ticket { slot: self.slot, desk: Some(desk.clone()), legs: self.legs.take() };
        let legs = Arc::new(Legs(Mutex::new(Open { legs: count, worst: Verdict::Done, parent: Some(parent) })));
        (0..count).map(|_| Ticket { slot: self.slot, desk: Some(desk.clone()), legs: Some(legs.clone()) }).collect()
    }

    /// Ends this duty; what is to be told to whom, where it was the last leg.
    pub(super) fn end(&mut self, verdict: Verdict) -> Option<(Arc<Desk>, Settled)> {
        let desk = self.desk.take()?;
        match self.legs.take() {
            None => Some((desk, Settled { slot: self.slot, verdict })),
            Some(legs) => legs.end(verdict),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((desk, settled)) = self.end(Verdict::Lost) {
            desk.send(vec![settled]);
        }
    }
}

/// The shared state of a delivery's legs.
#[derive(Debug)]
struct Legs(Mutex<Open>);

#[derive(Debug)]
struct Open {
    /// Legs that have not ended.
    legs: u32,
    worst: Verdict,
    parent: Option<Ticket>,
}

impl Legs {
    fn end(&self, verdict: Verdict) -> Option<(Arc<Desk>, Settled)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.worst = open.worst.merge(verdict);
        open.legs -= 1;
        if open.legs > 0 {
            return None;
        }
        let (parent, worst) = (open.parent.take(), open.worst);
        drop(open);
        parent.and_then(|mut ticket| ticket.end(worst))
    }
}
