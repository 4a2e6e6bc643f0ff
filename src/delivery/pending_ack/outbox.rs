//! The handle of the outbox: under which name a generation owns entries, and where they are released.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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
        (Self { owner: random_uuid().into(), released: sender }, released)
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

/// A version 4 UUID. The hasher's keys come from the operating system: nodes that start at the same moment differ.
pub(crate) fn random_uuid() -> String {
    let [high, low] = [0_u64, 1].map(|half| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(half);
        hasher.finish()
    });
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
