//! PostgreSQL: connection, server, schema, rights, durability, connections, and what the tables say.

mod capacity;
mod content;
mod disk;
mod durability;
mod partitions;
mod pooler;
mod retention;
mod rights;
mod schema;
mod server;

use tokio_postgres::Client;

use super::clock::Clocks;
use super::deadline::Deadline;
use super::result::CheckResult;
use super::shared::Later;
use crate::config::Config;
use crate::postgres::start::{self, StartError};
use crate::runtime::error_chain::error_chain;

/// What a result about the connection is about.
const ABOUT: &str = "postgresql";

/// Every tenant that has a device.
const TENANTS: &str = "SELECT DISTINCT tenant_id FROM device_registry ORDER BY tenant_id";

/// All tenants of the registry.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn tenants(database: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = database.query(TENANTS, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The results about PostgreSQL.
pub(super) async fn check(
    config: &Config,
    deadline: Deadline,
    clocks: &Clocks,
    shared: &Later<Vec<String>>,
) -> Vec<CheckResult> {
    let checked = match deadline.of(ABOUT, start::open(&config.postgres)).await {
        Ok(Ok((connector, client))) => {
            let looked = async {
                let mut results = look(config, &client, clocks, shared).await;
                results.extend(pooler::check(&connector, &client).await);
                results
            };
            deadline.of(ABOUT, looked).await
        }
        Ok(Err(error)) => Err(refused(&error)),
        Err(result) => Err(result),
    };
    // Nobody waits for what will not come.
    shared.set(None);
    clocks.postgres.set(None);
    checked.unwrap_or_else(|result| vec![result])
}

fn refused(error: &StartError) -> CheckResult {
    let why = error_chain(error);
    match error {
        StartError::Settings(_) => CheckResult::err(ABOUT, why, "correct the setting"),
        _ => {
            let advice = "check DATABASE_URL (or PG_HOST, PG_PORT, PG_DB, PG_USER, PG_PASS), PG_SSLMODE, and that the server runs";
            CheckResult::away(ABOUT, format!("no connection: {why}"), advice)
        }
    }
}

async fn look(config: &Config, client: &Client, clocks: &Clocks, shared: &Later<Vec<String>>) -> Vec<CheckResult> {
    let mut results = said("postgresql version", server::check(client, clocks).await);
    results.extend(said("postgresql durability", durability::check(config, client).await));
    results.extend(said("postgresql connections", capacity::check(config, client).await));
    let (is_there, about_schema) = schema::check(config, client).await;
    results.extend(about_schema);
    if !is_there {
        return results;
    }
    match tenants(client).await {
        Ok(tenants) => {
            results.insert(0, CheckResult::ok(ABOUT, format!("{} tenants in the registry", tenants.len())));
            shared.set(Some(tenants));
        }
        Err(error) => {
            results.push(CheckResult::err(ABOUT, error_chain(&error), "grant the role SELECT on device_registry"));
        }
    }
    results.extend(said("postgresql rights", rights::check(config, client).await));
    results.extend(said("postgresql partitions", partitions::check(client).await));
    results.extend(said("postgresql retention", retention::check(config, client).await));
    results.extend(said("postgresql disk", disk::check(config, client).await));
    results.extend(said("postgresql contents", content::check(config, client).await));
    results
}

/// What was found, or that the question was refused.
fn said(about: &str, found: Result<Vec<CheckResult>, tokio_postgres::Error>) -> Vec<CheckResult> {
    found.unwrap_or_else(|error| {
        vec![CheckResult::err(
            about,
            error_chain(&error),
            "grant the role what the message names (SECURITY.md, Rights in PostgreSQL)",
        )]
    })
}
