//! `ingest-node migrate`: brings the database to this version's schema.

use crate::config::Config;
use crate::exit::Exit;
use crate::sink::postgres::{pool, schema};

/// Migrates; says what it did or why it could not in one sentence.
pub async fn run(config: &Config) -> Exit {
    match attempt(config).await {
        Ok(report) => {
            report.applied.iter().for_each(|migration| println!("applied {migration}"));
            println!("schema version {}", report.version);
            Exit::Ok
        }
        Err((exit, why)) => {
            eprintln!("ingest-node: {why}");
            exit
        }
    }
}

async fn attempt(config: &Config) -> Result<schema::Report, (Exit, String)> {
    let connection = pool::connection_config(&config.postgres).map_err(|error| (Exit::Config, error.to_string()))?;
    let unavailable = |why: String| (Exit::Unavailable, why);
    let mut client = pool::connect(&connection)
        .await
        .map_err(|error| unavailable(format!("PostgreSQL does not answer: {error}")))?;
    schema::migrate(&mut client).await.map_err(|error| unavailable(error.sentence()))
}
