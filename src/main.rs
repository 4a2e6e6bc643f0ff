//! The `ingest-node` program: arguments, configuration, log, then one command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use ingest_node::cli::{Cli, Command};
use ingest_node::config::{Config, ConfigError, Env, Loaded};
use ingest_node::exit::Exit;
use ingest_node::{app, logging, migrate};
use slog::warn;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers, everything else is a mistake; nowhere to report a closed terminal to.
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Config } else { Exit::Ok }.into();
        }
    };
    match Config::load(cli.config.as_deref(), &Env::process()) {
        Ok(loaded) => dispatch(cli.command, &loaded).into(),
        Err(error) => refuse(&error).into(),
    }
}

fn dispatch(command: Command, loaded: &Loaded) -> Exit {
    match command {
        Command::Run => run(loaded),
        Command::Migrate => on_runtime(migrate::run(&loaded.config)),
        Command::CheckConfig => check_config(loaded),
    }
}

fn run(loaded: &Loaded) -> Exit {
    let (log, _guard) = logging::root(&loaded.config.log);
    logging::log_panics(&log);
    for notice in &loaded.notices {
        warn!(log, "configuration"; "notice" => notice);
    }
    on_runtime(app::run(loaded.config.clone(), log))
}

fn on_runtime(work: impl Future<Output = Exit>) -> Exit {
    actix_rt::System::new().block_on(work)
}

fn check_config(loaded: &Loaded) -> Exit {
    for notice in &loaded.notices {
        eprintln!("ingest-node: {notice}");
    }
    match loaded.show() {
        Ok(text) => {
            // Whoever closed the pipe early has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            Exit::Ok
        }
        Err(error) => {
            eprintln!("ingest-node: {error}");
            Exit::Config
        }
    }
}

fn refuse(error: &ConfigError) -> Exit {
    eprintln!("ingest-node: {error}");
    Exit::Config
}
