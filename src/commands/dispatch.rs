//! The commands, each from its configuration to its exit code. What they find goes to standard output; why they fail is one
//! sentence on standard error.

use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::cli::{Cli, Command};
use super::{
    backfill, check_config, doctor, explain, generated, migrate, provision_tenants, quarantine, run, simulate, tap, top,
};
use crate::app;
use crate::config::{Config, ConfigErrors, Env, Loaded};
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::logging;
use crate::runtime::terminal::{print, print_error};

/// The program: reads the command line, runs one command, and answers with its exit code.
pub fn run_program() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers, everything else is a mistake; nobody is left to tell of a closed terminal.
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Config } else { Exit::Ok }.into();
        }
    };
    let file = cli.config.clone();
    let gather = move || Config::gather(file.as_deref(), &Env::process());
    let load = || gather().accept();
    let exit = match &cli.command {
        Command::Run => run::run(gather.clone(), app::run::run),
        Command::Gateway(options) if options.retire => run::run(gather.clone(), app::gateway::retire::run),
        Command::Gateway(_) => run::run(gather.clone(), app::gateway::run::run),
        Command::Migrate => configured(load, migrate),
        Command::CheckConfig(options) => check_config::run(gather(), options),
        Command::Doctor(options) => configured(load, |loaded| on_runtime(doctor::run(loaded, options))),
        Command::ProvisionTenants(options) => configured(load, |loaded| provision_tenants(loaded, options)),
        Command::Backfill(options) => configured(load, |loaded| backfill(loaded, options)),
        Command::Simulate(options) => configured(load, |loaded| simulate(loaded, options)),
        Command::Explain(options) => configured(load, |loaded| explain(loaded, options)),
        Command::Tap(options) => configured(load, |loaded| tap(loaded, options)),
        Command::Top(options) => configured(load, |loaded| top(loaded, options)),
        Command::Completions(options) => generated::completions(Cli::command(), options),
        Command::Man(options) => generated::man(Cli::command(), options),
        Command::Quarantine(action) => configured(load, |loaded| quarantine(loaded, action)),
    };
    exit.into()
}

/// Runs a command with its configuration, where there is a good one.
fn configured(load: impl FnOnce() -> Result<Loaded, ConfigErrors>, command: impl FnOnce(&Loaded) -> Exit) -> Exit {
    match load() {
        Ok(loaded) => command(&loaded),
        Err(errors) => {
            errors.sentences().iter().for_each(print_error);
            Exit::Config
        }
    }
}

/// `migrate`: brings the database to this program's schema.
fn migrate(loaded: &Loaded) -> Exit {
    on_runtime(migrate::run(&loaded.config))
}

/// `simulate`: publishes messages and prints what must become of them.
fn simulate(loaded: &Loaded, options: &simulate::Options) -> Exit {
    let (log, _guard) = logging::root(&loaded.config.log);
    on_runtime(async {
        let (summary, result) = simulate::run(&loaded.config, options, &log).await;
        match serde_json::to_string(&summary) {
            Ok(line) => print(&format!("{line}\n")),
            Err(error) => return fail(Exit::Unavailable, error),
        }
        result.map_or_else(|error| fail(error.exit(), error), |()| Exit::Ok)
    })
}

/// `quarantine`: looks at refused messages, or replays them.
fn quarantine(loaded: &Loaded, action: &quarantine::Action) -> Exit {
    let (log, _guard) = logging::root(&loaded.config.log);
    on_runtime(async {
        let done = quarantine::run(&loaded.config, action, &log).await;
        done.map_or_else(|(exit, why)| fail(exit, why), |()| Exit::Ok)
    })
}

/// `explain`: what became of a message.
fn explain(loaded: &Loaded, options: &explain::Options) -> Exit {
    on_runtime(async { explain::run(&loaded.config, options).await.unwrap_or_else(|(exit, why)| fail(exit, why)) })
}

/// `tap`: looks at messages of a running node.
fn tap(loaded: &Loaded, options: &tap::Options) -> Exit {
    on_runtime(async { tap::run(&loaded.config, options).await.unwrap_or_else(|(exit, why)| fail(exit, why)) })
}

/// `top`: watches running nodes.
fn top(loaded: &Loaded, options: &top::Options) -> Exit {
    on_runtime(async {
        top::run(&loaded.config, options).await.unwrap_or_else(|error| fail(error.exit(), error_chain(&error)))
    })
}

/// `provision-tenants`: gives every tenant its database.
fn provision_tenants(loaded: &Loaded, options: &provision_tenants::Options) -> Exit {
    on_runtime(async {
        provision_tenants::run(&loaded.config, options).await.unwrap_or_else(|(exit, why)| fail(exit, why))
    })
}

/// `backfill`: writes a range of rows to InfluxDB again.
fn backfill(loaded: &Loaded, options: &backfill::Options) -> Exit {
    on_runtime(async { backfill::run(&loaded.config, options).await.unwrap_or_else(|(exit, why)| fail(exit, why)) })
}

fn on_runtime(command: impl Future<Output = Exit>) -> Exit {
    actix_rt::System::new().block_on(command)
}

fn fail(exit: Exit, sentence: impl Display) -> Exit {
    print_error(sentence);
    exit
}
