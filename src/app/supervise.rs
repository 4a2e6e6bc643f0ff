//! Runs an actor tree under its supervisor until a shutdown signal, or until the restart budget is spent.

use actix::Actor;
use slog::{error, info};

use crate::runtime::exit::Exit;
use crate::runtime::signals::Signals;
use crate::supervisor;
use crate::supervisor::child::{Factory, Wiring};
use crate::supervisor::environment::Environment;
use crate::supervisor::root::{Ending, Root, Shutdown};

/// Builds the tree and waits for its end; `flush` runs after a drain.
///
/// # Errors
/// The exit code and a sentence, where it did not end drained.
pub(super) async fn supervise<W: Wiring>(
    config: supervisor::Config,
    factories: Vec<Factory<W>>,
    environment: Environment,
    mut signals: Signals,
    flush: impl AsyncFnOnce(),
) -> Result<(), (Exit, String)> {
    let log = environment.log.clone();
    let (budget, window_secs) = (config.restart_budget, config.restart_window_secs);
    let (root, mut ended) = Root::new(config, factories, environment);
    let root = root.start();
    let ending = tokio::select! {
        ending = &mut ended => ending,
        () = signals.stop() => {
            root.do_send(Shutdown);
            ended.await
        }
    };
    if !matches!(ending, Ok(Ending::GaveUp) | Err(_)) {
        flush().await;
    }
    match ending {
        Ok(Ending::Drained) => {
            info!(log, "drained");
            Ok(())
        }
        Ok(Ending::Unfinished(deliveries)) => {
            error!(log, "drain deadline passed with work undone"; "released" => deliveries);
            let why = format!("the drain deadline passed; {deliveries} deliveries were released to the broker");
            Err((Exit::Unfinished, why))
        }
        Ok(Ending::ChildExited(actor)) => {
            error!(log, "exited during the drain; what it held is delivered again"; "actor" => actor);
            Err((Exit::Unfinished, format!("the {actor} exited during the drain; what it held is delivered again")))
        }
        Ok(Ending::GaveUp) | Err(_) => Err((
            Exit::GaveUp,
            format!("the supervisor gave up after {budget} restarts within {window_secs} s; the log says what failed"),
        )),
    }
}
