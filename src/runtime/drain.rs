//! Drain waiters: futures that resolve when an actor has nothing in flight.

use tokio::sync::oneshot;

/// The waiters of one actor; each is notified once.
#[derive(Debug, Default)]
pub(crate) struct DrainWaiters(Vec<oneshot::Sender<()>>);

impl DrainWaiters {
    /// Resolves when the actor is drained, or has stopped.
    pub(crate) fn wait(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (waiter, drained) = oneshot::channel();
        self.0.push(waiter);
        async move {
            // An error means that the actor has stopped: nothing is in flight.
            let _ = drained.await;
        }
    }

    /// Whether a drain is waited for: then partial batches are sent at once.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.0.is_empty()
    }

    /// Notifies the waiters: the actor is drained.
    pub(crate) fn notify(&mut self) {
        for waiter in self.0.drain(..) {
            // An error means that the waiter was dropped.
            let _ = waiter.send(());
        }
    }
}
