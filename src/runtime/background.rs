//! Background work of an actor: it runs from the actor's start, and ends by itself or when the tree drains.

use actix::ResponseFuture;
use tokio_util::sync::CancellationToken;

use super::drain::DrainWaiters;

/// What ends the work, and who waits for its end.
#[derive(Debug, Default)]
pub(crate) struct Background {
    stop: CancellationToken,
    drained: DrainWaiters,
    has_ended: bool,
}

impl Background {
    /// Cancelled when the work has to end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The work has ended.
    pub(crate) fn ended(&mut self) {
        self.has_ended = true;
        self.drained.notify();
    }

    /// Ends the work; resolves when it has.
    pub(crate) fn drain(&mut self) -> ResponseFuture<()> {
        self.stop.cancel();
        if self.has_ended {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(self.drained.wait())
    }
}
