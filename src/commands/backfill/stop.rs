//! Being told to stop: once to end in order, twice to end at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often SIGINT or SIGTERM came.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// Where the system gives no handlers.
    pub(super) fn listen() -> io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (times, told) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                times.send_modify(|times| *times += 1);
            }
        });
        Ok(Self(told))
    }

    /// Whether it was told.
    pub(super) fn is_told(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until it was told so many times.
    pub(super) async fn told_times(&self, times: u32) {
        let mut told = self.0.clone();
        if told.wait_for(|told| *told >= times).await.is_err() {
            // Without its listener nothing will ever be told.
            std::future::pending().await
        }
    }
}
