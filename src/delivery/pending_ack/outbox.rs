//! The handle of the outbox: under which name a generation owns entries, and where they are released.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use super::ack::{PendingAck, Released};

/// One generation's handle of the outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    owner: Arc<str>,
    released: UnboundedSender<Released>,
}

impl Outbox {
    /// A handle with a new owner, and the channel over which its entries are released.
    pub fn new() -> (Self, UnboundedReceiver<Released>) {
        let (sender, released) = unbounded_channel();
        (Self { owner: Uuid::new_v4().to_string().into(), released: sender }, released)
    }

    /// The name under which this generation owns entries: a random UUID.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Tracks entries whose lines came with their deliveries. The pending ack stands for whoever holds it.
    pub fn track(&self, ids: Vec<i64>) -> PendingAck {
        PendingAck::new(ids, None, self.released.clone())
    }

    /// The same for entries of a tenant that are redelivered.
    pub fn claim(&self, ids: Vec<i64>, tenant_id: Arc<str>) -> PendingAck {
        PendingAck::new(ids, Some(tenant_id), self.released.clone())
    }
}
