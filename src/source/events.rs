//! What the consumer hears from its helpers: the inbox, the acknowledger, the advisories.

use actix::Message;
use async_nats::Message as NatsMessage;

/// From the inlet: messages and status words, in order.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Arrived {
    pub(in crate::source) inlet: u64,
    pub(in crate::source) messages: Vec<NatsMessage>,
}

/// From the inlet: nothing more will arrive.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct InletClosed {
    pub(in crate::source) inlet: u64,
}

/// From the acknowledger: a group has been sent.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AcksSent;

/// From the advisories: the stream or the consumer was deleted.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deleted;
