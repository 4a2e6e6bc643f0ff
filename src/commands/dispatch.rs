//! The commands, each from its configuration to its exit code. What they find goes to standard output; why they fail is one
//! sentence on standard error.

use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use slog::warn;

use super::cli::{Cli, Command};
use super::{backfill, migrate, provision_tenants, quarantine, simulate};
use crate::app::{self, preflight};
use crate::config::{Config, ConfigError, Env, Loaded};
use crate::runtime::exit::Exit;
use crate::runtime::logging;
use crate::runtime::signals::{Hangup, Signals};
use crate::runtime::terminal::{print, print_error};
use crate::sink::influx::CapacityReport;

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
    let load = move || Config::load(file.as_deref(), &Env::process());
    let exit = match &cli.command {
        Command::Run => run(load),
        Command::Migrate => configured(load, migrate),
        Command::CheckConfig { online } => configured(load, |loaded| check_config(loaded, *online)),
        Command::ProvisionTenants(options) => configured(load, |loaded| provision_tenants(loaded, options)),
        Command::Backfill(options) => configured(load, |loaded| backfill(loaded, options)),
        Command::Simulate(options) => configured(load, |loaded| simulate(loaded, options)),
        Command::Quarantine(action) => configured(load, |loaded| quarantine(loaded, action)),
    };
    exit.into()
}

/// Runs a command with its configuration, where there is a good one.
fn configured(load: impl FnOnce() -> Result<Loaded, ConfigError>, command: impl FnOnce(&Loaded) -> Exit) -> Exit {
    match load() {
        Ok(loaded) => command(&loaded),
        Err(error) => {
            print_error(error);
            Exit::Config
        }
    }
}

/// `run`: the node, until it is told to stop or gives up.
fn run(load: impl Fn() -> Result<Loaded, ConfigError> + 'static) -> Exit {
    let system = actix_rt::System::new();
    // Before anything else: from here on a signal ends in a drain and the right exit code.
    let (signals, hangup) = system.block_on(async { (Signals::listen(), Hangup::listen()) });
    let loaded = match load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(Exit::Config, error),
    };
    let (log, _guard) = logging::root(&loaded.config.log);
    logging::log_panics(&log);
    for notice in &loaded.notices {
        warn!(log, "configuration"; "notice" => notice);
    }
    system.block_on(app::run::run(loaded.config, Box::new(load), log, signals, hangup))
}

/// `migrate`: brings the database to this program's schema.
fn migrate(loaded: &Loaded) -> Exit {
    on_runtime(migrate::run(&loaded.config))
}

/// `check-config`: prints the effective configuration, without secrets; with `online`, what is there beside it.
fn check_config(loaded: &Loaded, online: bool) -> Exit {
    loaded.notices.iter().for_each(print_error);
    match loaded.show() {
        Ok(text) => print(&text),
        Err(error) => return fail(Exit::Config, error),
    }
    if !online {
        return Exit::Ok;
    }
    on_runtime(async {
        let mut exit = Exit::Ok;
        for preflight::CheckResult { dependency, result } in preflight::check(&loaded.config).await {
            match result {
                Ok(CapacityReport { found, advice: None }) => print(&format!("# OK    {dependency}: {found}\n")),
                Ok(CapacityReport { found, advice: Some(advice) }) => {
                    print(&format!("# WARN  {dependency}: {found}; {advice}\n"));
                    exit = if exit == Exit::Ok { Exit::Incomplete } else { exit };
                }
                Err(why) => {
                    print(&format!("# ERR   {dependency}: {why}\n"));
                    exit = Exit::Unavailable;
                }
            }
        }
        exit
    })
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
        result.map_or_else(|error| fail(Exit::Unavailable, error), |()| Exit::Ok)
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
