//! `ingest-node check-config`: what is in force, what is wrong, and what is doubtful.

use clap::Args;

use crate::app::preflight::{self, CheckResult};
use crate::config::{Gathered, Loaded, Selection};
use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print, print_error};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Also look at machine and servers, as `doctor` does. Exit code 69 if one can't be reached, 1 if there is something to
    /// be fixed.
    #[arg(long)]
    pub online: bool,
    /// One JSON object: settings (key, env, value, source), notices, errors; with --online also results, as `doctor --json` has
    /// them. With errors the exit code is 64, and no server is asked.
    #[arg(long)]
    pub json: bool,
    /// Only what the file or the environment sets, and what follows from that.
    #[arg(long)]
    pub changed: bool,
}

/// Prints the effective configuration, without secrets, below its warnings. Every error is a line of standard error.
pub(crate) fn run(gathered: Gathered, options: &Options) -> Exit {
    let selection = if options.changed { Selection::Changed } else { Selection::All };
    if options.json {
        return print_json(gathered, selection, options.online);
    }
    gathered.notices().iter().for_each(|notice| print(&format!("# WARN  {notice}\n")));
    let loaded = match gathered.accept() {
        Ok(loaded) => loaded,
        Err(errors) => {
            errors.sentences().iter().for_each(print_error);
            return Exit::Config;
        }
    };
    match loaded.show(selection) {
        Ok(text) => print(&text),
        Err(error) => {
            print_error(error);
            return Exit::Config;
        }
    }
    if options.online { actix_rt::System::new().block_on(ask_servers(&loaded)) } else { Exit::Ok }
}

fn print_json(gathered: Gathered, selection: Selection, online: bool) -> Exit {
    let mut object = match gathered.to_json(selection) {
        Ok(object) => object,
        Err(error) => {
            print_error(error);
            return Exit::Config;
        }
    };
    let exit = match gathered.accept() {
        Ok(loaded) if online => {
            let results = actix_rt::System::new().block_on(preflight::check(&loaded));
            object["results"] = serde_json::json!(results);
            preflight::exit(&results)
        }
        Ok(_) => Exit::Ok,
        Err(_) => Exit::Config,
    };
    print(&format!("{object}\n"));
    exit
}

/// What `doctor` finds. The notices stand above the settings already.
async fn ask_servers(loaded: &Loaded) -> Exit {
    let results = preflight::check(loaded).await;
    let beside_the_notices = |result: &&CheckResult| loaded.notices.is_empty() || result.about != preflight::SETTINGS;
    results.iter().filter(beside_the_notices).for_each(|result| print(&format!("# {result}\n")));
    preflight::exit(&results)
}
