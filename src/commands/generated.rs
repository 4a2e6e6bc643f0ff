//! What is made from the command line's declaration: shells' completions and the manual's pages.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print, print_error};

/// Which shell.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell that reads them.
    pub shell: Shell,
}

/// Which page.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManOptions {
    /// The page of this command, such as `backfill` or `quarantine list` [default: the program's].
    pub command: Vec<String>,
}

/// Prints the completions of the program's command line.
pub(crate) fn completions(mut program: Command, options: &CompletionsOptions) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut program, "ingest-node", &mut text);
    print(&String::from_utf8_lossy(&text));
    Exit::Ok
}

/// Prints a page of the manual, as roff.
pub(crate) fn man(program: Command, options: &ManOptions) -> Exit {
    match page(program, &options.command) {
        Ok(Some(text)) => {
            print(&text);
            Exit::Ok
        }
        Ok(None) => {
            print_error(format_args!("there is no command {}", options.command.join(" ")));
            Exit::Config
        }
        Err(error) => {
            print_error(error);
            Exit::Config
        }
    }
}

/// The page of a command; `None` where there is no such command.
fn page(mut program: Command, names: &[String]) -> io::Result<Option<String>> {
    // Fills in the names by which subcommands are shown.
    program.build();
    let mut command = &program;
    for name in names {
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None => return Ok(None),
        }
    }
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::commands::cli::Cli;

    #[test]
    fn every_command_has_a_page_and_an_unknown_one_has_none() {
        let page = |names: &[&str]| {
            page(Cli::command(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        assert!(page(&[]).is_some_and(|text| text.contains(".TH ingest-node 1") && text.contains("quarantine")));
        assert!(page(&["quarantine", "list"]).is_some_and(|text| text.contains("POINT_REFUSED")));
        assert!(page(&["check-config"]).is_some_and(|text| text.contains("changed")));
        assert_eq!(page(&["nothing"]), None);
    }

    #[test]
    fn every_shell_completes_the_subcommands() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "ingest-node", &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("provision-tenants") && text.contains("lift-rate-limit"), "{shell}");
        }
    }

    #[test]
    fn the_declaration_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
