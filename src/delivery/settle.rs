//! How a delivery's end reaches its consumer.

use std::sync::Arc;

use actix::{Message, Recipient};
use ingest_core::flow::disposition::Verdict;

/// A delivery's end, as its consumer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The number under which the consumer knows it.
    pub slot: u64,
    /// The verdict.
    pub verdict: Verdict,
}

/// Where a lane's deliveries report their verdicts.
#[derive(Debug)]
pub struct SettleHandle {
    consumer: Recipient<Settle>,
}

impl SettleHandle {
    /// A settle handle in front of a lane's consumer.
    pub fn new(consumer: Recipient<Settle>) -> Arc<Self> {
        Arc::new(Self { consumer })
    }

    pub(super) fn send(&self, settled: Vec<Settled>) {
        // A consumer that is gone has its whole window redelivered by the broker: nothing is left to tell.
        self.consumer.do_send(Settle { settled });
    }
}

/// Anyone to a Consumer: these deliveries have ended. The only arrow that points up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Settle {
    /// Each exactly once.
    pub settled: Vec<Settled>,
}
