//! The command: from the question to the answer and its exit code.

use slog::{Discard, Logger, o};

use super::gather::Gatherer;
use super::{Options, page};
use crate::config::Config;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::print;
use ingest_core::explain::Fate;

/// Gathers the facts of a message, and prints what became of it.
///
/// # Errors
/// The exit code and a sentence, where arguments or settings can't work.
pub(crate) async fn run(config: &Config, options: &Options) -> Result<Exit, (Exit, String)> {
    let question = options.question().map_err(|why| (Exit::Config, why.to_owned()))?;
    // What the connections log is what the answer says.
    let log = Logger::root(Discard, o!());
    let facts = Gatherer::connect(config, question, options.since_us(), &log).await?.gather().await;
    let fate = Fate::of(&facts);
    match options.json {
        true => print(&page::json(&facts, fate).map_err(|error| (Exit::Unavailable, error_chain(&error)))?),
        false => print(&page::text(&facts, fate)),
    }
    Ok(match facts.is_incomplete() {
        true => Exit::Unavailable,
        false if facts.has_trace() => Exit::Ok,
        false => Exit::Incomplete,
    })
}
