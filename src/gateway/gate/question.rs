//! Between door and gate: a device that is not known, and who waits for an answer.

use actix::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use ingest_core::message::device::{DeviceKey, Lookup};

/// A worker that waits for an answer. Dropped without one, it looks again at what is known.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Where the answer goes.
    pub reply: oneshot::Sender<Lookup>,
    /// One of the look-ups that may wait.
    pub _permit: OwnedSemaphorePermit,
}

/// Door to Gate: a device that is not known.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Ask {
    /// Which.
    pub device: DeviceKey,
    /// Who waits.
    pub waiter: Waiter,
}
