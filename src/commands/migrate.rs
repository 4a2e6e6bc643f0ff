//! `ingest-node migrate`: brings the database to this version's schema.

use crate::config::Config;
use crate::postgres::start::{self, StartError};
use crate::postgres::{self, schema};
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print, print_error};

/// Waits for PostgreSQL as `run` does, and migrates; says what it did or why it could not in one sentence.
pub(crate) async fn run(config: &Config) -> Exit {
    match attempt(&config.postgres).await {
        Ok((report, warnings)) => {
            report.applied.iter().for_each(|migration| print(&format!("applied {migration}\n")));
            warnings.iter().for_each(|warning| print(&format!("warning: {warning}\n")));
            print(&format!("schema version {}\n", report.version));
            Exit::Ok
        }
        Err(error) => {
            print_error(error_chain(&error));
            error.exit()
        }
    }
}

async fn attempt(config: &postgres::Config) -> Result<(schema::MigrationReport, Vec<String>), StartError> {
    let (_, mut client) = start::connect(config, |_| {}).await?;
    let report = schema::migrate(&mut client).await?;
    let warnings = schema::warnings(&client).await?;
    Ok((report, warnings))
}
