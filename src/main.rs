//! The `ingest-node` program: arguments, configuration, one command, exit code.

use std::process::ExitCode;

use clap::Parser;
use ingest_node::cli::{Cli, Command};
use ingest_node::commands;
use ingest_node::config::{Config, ConfigError, Env, Loaded};
use ingest_node::exit::Exit;
use ingest_node::terminal;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers, everything else is a mistake; nobody is left to tell of a closed terminal.
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Config } else { Exit::Ok }.into();
        }
    };
    let load = || Config::load(cli.config.as_deref(), &Env::process());
    let exit = match &cli.command {
        Command::Run => commands::run(load),
        Command::Migrate => configured(load, commands::migrate),
        Command::CheckConfig { online } => configured(load, |loaded| commands::check_config(loaded, *online)),
        Command::ProvisionTenants(options) => configured(load, |loaded| commands::provision_tenants(loaded, options)),
        Command::Backfill(options) => configured(load, |loaded| commands::backfill(loaded, options)),
        Command::Simulate(options) => configured(load, |loaded| commands::simulate(loaded, options)),
        Command::Quarantine(action) => configured(load, |loaded| commands::quarantine(loaded, action)),
    };
    exit.into()
}

/// Runs a command with its configuration, where there is a good one.
fn configured(load: impl FnOnce() -> Result<Loaded, ConfigError>, command: impl FnOnce(&Loaded) -> Exit) -> Exit {
    match load() {
        Ok(loaded) => command(&loaded),
        Err(error) => {
            terminal::complain(error);
            Exit::Config
        }
    }
}
