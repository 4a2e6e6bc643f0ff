//! Who waits for a room to be empty.

use tokio::sync::oneshot;

/// The waiting; each is told once.
#[derive(Debug, Default)]
pub(crate) struct DrainWaiters(Vec<oneshot::Sender<()>>);

impl DrainWaiters {
    /// Waits until the room is empty, or gone.
    pub(crate) fn wait(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (waiting, drained) = oneshot::channel();
        self.0.push(waiting);
        async move {
            // An error means that the room is gone, and what is gone is empty.
            let _ = drained.await;
        }
    }

    /// Whether anybody waits: then nothing should wait for company any more.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.0.is_empty()
    }

    /// The room is empty.
    pub(crate) fn notify(&mut self) {
        for waiting in self.0.drain(..) {
            // Whoever stopped waiting does not need to know.
            let _ = waiting.send(());
        }
    }
}
