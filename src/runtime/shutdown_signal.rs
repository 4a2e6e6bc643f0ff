//! The signals that ask for a drain.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, heard from [`Signals::listen`] on: one that comes while nobody waits is there for the next who does.
/// There is one listener for the whole run, as a second one would not hear what came before it.
#[derive(Debug)]
pub(crate) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Listens from now on. Needs a running tokio runtime.
    pub(crate) fn listen() -> Self {
        let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        // Without handlers the signals' own effect remains: they end the process.
        Self(terminate.ok().zip(interrupt.ok()))
    }

    /// Waits for the next of them.
    pub(crate) async fn stop(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}
