//! `ingest-node run` and `ingest-node gateway`: from the settings to the last word.

use slog::{Logger, info, warn};

use crate::app::reload::Reloads;
use crate::config::{Config, Gathered, Loaded};
use crate::runtime::exit::Exit;
use crate::runtime::last_word::print_last_word;
use crate::runtime::signals::{Hangup, Signals};
use crate::runtime::{descriptors, logging};

/// Runs a program (one of `app`) until it is told to stop or gives up.
pub(crate) fn run(
    gather: impl Fn() -> Gathered + 'static,
    program: impl AsyncFnOnce(Config, Reloads, Logger, Signals) -> Result<(), (Exit, String)>,
) -> Exit {
    descriptors::raise_limit();
    let system = actix_rt::System::new();
    // Before anything else: from here on a signal ends in a drain and the right exit code.
    let (signals, hangup) = system.block_on(async { (Signals::listen(), Hangup::listen()) });
    let gathered = gather();
    let format = gathered.log_format();
    let loaded = match gathered.accept() {
        Ok(loaded) => loaded,
        Err(errors) => {
            errors.sentences().iter().for_each(|sentence| print_last_word(format, Exit::Config, sentence));
            return Exit::Config;
        }
    };
    let (log, guard) = logging::root(&loaded.config.log);
    logging::log_panics(&log);
    introduce(&loaded, &log);
    let reloads = Reloads { load: Box::new(gather), hangup, level: guard.level() };
    let ended = system.block_on(program(loaded.config, reloads, log, signals));
    // The log's lines first: this is the last one.
    drop(guard);
    match ended {
        Ok(()) => Exit::Ok,
        Err((exit, mut why)) => {
            if let Some(shortage) = descriptors::shortage().filter(|_| exit == Exit::GaveUp) {
                why = format!("{why}; {shortage}");
            }
            print_last_word(format, exit, &why);
            exit
        }
    }
}

/// The first lines of the log: what starts here, and what is doubtful about it.
fn introduce(loaded: &Loaded, log: &Logger) {
    let hash = loaded.hash().unwrap_or_default();
    info!(log, "starting"; "version" => env!("CARGO_PKG_VERSION"), "config_hash" => hash);
    for notice in &loaded.notices {
        warn!(log, "configuration"; "notice" => notice);
    }
    if let Some(shortage) = descriptors::shortage() {
        warn!(log, "too few open files"; "why" => shortage);
    }
}
