//! What is known of rows once they are stored.

use crate::delivery::pending_ack::PendingAck;

/// What is known of the events of a batch once they are stored.
#[derive(Debug, Default)]
pub(super) struct StoredEvents {
    /// What the outbox has on record of the events' points, one pending ack per event; empty where nothing is recorded.
    pub(super) pending_acks: Vec<PendingAck>,
    /// Whether an event's row was there before, one answer per event; empty where all rows are new.
    pub(super) was_there: Vec<bool>,
}

impl StoredEvents {
    /// How many rows were there before.
    pub(super) fn duplicates(&self) -> u64 {
        self.was_there.iter().filter(|was_there| **was_there).count() as u64
    }
}
