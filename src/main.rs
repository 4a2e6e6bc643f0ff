//! The `ingest-node` program: arguments, configuration, one command, exit code.

use std::process::ExitCode;

use clap::Parser;
use ingest_node::cli::{Cli, Command};
use ingest_node::commands;
use ingest_node::config::{Config, Env};
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
    let loaded = match Config::load(cli.config.as_deref(), &Env::process()) {
        Ok(loaded) => loaded,
        Err(error) => {
            terminal::complain(error);
            return Exit::Config.into();
        }
    };
    let exit = match cli.command {
        Command::Run => commands::run(&loaded),
        Command::Migrate => commands::migrate(&loaded),
        Command::CheckConfig { online } => commands::check_config(&loaded, online),
        Command::ProvisionTenants(options) => commands::provision_tenants(&loaded, &options),
        Command::Backfill(options) => commands::backfill(&loaded, &options),
        Command::Simulate(options) => commands::simulate(&loaded, &options),
        Command::Quarantine(action) => commands::quarantine(&loaded, &action),
    };
    exit.into()
}
