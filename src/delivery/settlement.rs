//! Verdicts of a batch on their way to the consumers.

use std::sync::Arc;

use ingest_core::flow::disposition::Verdict;

use super::guard::Ticket;
use super::settle::{Desk, Settled};

/// Verdicts collected over a batch, so that each lane's consumer gets one message. Dropped, it tells what it has collected:
/// a verdict that was given is never forgotten.
#[derive(Debug, Default)]
pub struct Settlement {
    lanes: Vec<(Arc<Desk>, Vec<Settled>)>,
}

impl Settlement {
    /// Gives a delivery its verdict.
    pub fn add(&mut self, mut ticket: Ticket, verdict: Verdict) {
        let Some((desk, settled)) = ticket.end(verdict) else { return };
        match self.lanes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &desk)) {
            Some((_, all)) => all.push(settled),
            None => self.lanes.push((desk, vec![settled])),
        }
    }

    /// Tells the consumers.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        for (desk, settled) in self.lanes.drain(..) {
            desk.send(settled);
        }
    }
}
