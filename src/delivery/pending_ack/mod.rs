//! What InfluxDB has not confirmed: outbox entries that this node owns, and the pending ack of each of their lines.

mod ack;
mod outbox;
#[cfg(test)]
mod tests;

pub(crate) use self::ack::{PendingAck, Released};
pub(crate) use self::outbox::Outbox;
