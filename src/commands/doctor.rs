//! `ingest-node doctor`: what can't work, or will hurt, before it does.

use clap::Args;

use crate::app::preflight::{self, CheckResult};
use crate::config::Loaded;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print, print_error};

/// How to print.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// One JSON list of objects with the members level (OK, WARN, ERR), about, found, advice.
    #[arg(long)]
    pub json: bool,
}

/// Checks settings, machine and servers, and prints a line for each result.
pub(crate) async fn run(loaded: &Loaded, options: &Options) -> Exit {
    let results = preflight::check(loaded).await;
    match options.json {
        true => print_json(&results),
        false => results.iter().for_each(|result| print(&format!("{result}\n"))),
    }
    preflight::exit(&results)
}

fn print_json(results: &[CheckResult]) {
    match serde_json::to_string_pretty(results) {
        Ok(list) => print(&format!("{list}\n")),
        Err(error) => print_error(error),
    }
}
