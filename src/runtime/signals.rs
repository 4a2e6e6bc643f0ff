//! Signals: SIGTERM and SIGINT, which start a drain, SIGHUP, which has secrets read again, and those that mean nothing here.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT from [`Signals::listen`] on: one that arrives before [`Signals::stop`] is called is not lost. The
/// process has one listener, because a second one would miss earlier signals.
#[derive(Debug)]
pub(crate) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Listens from now on. Needs a running tokio runtime.
    pub(crate) fn listen() -> Self {
        // Other programs do something at these; here they would end the process without a drain. A handler stays when it is dropped.
        for meaningless in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(meaningless));
        }
        let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        // Without handlers the signals keep their default effect and end the process.
        Self(terminate.ok().zip(interrupt.ok()))
    }

    /// Waits for the next signal.
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

/// SIGHUP from [`Hangup::listen`] on; it never ends the process.
#[derive(Debug)]
pub(crate) struct Hangup(Option<Signal>);

impl Hangup {
    /// Listens from now on. Needs a running tokio runtime.
    pub(crate) fn listen() -> Self {
        Self(signal(SignalKind::hangup()).ok())
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    }
}
