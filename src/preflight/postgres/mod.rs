//! PostgreSQL: connection, server, schema, rights, durability, connections, and what the tables say.

mod capacity;
mod content;
mod durability;
mod partitions;
mod pooler;
mod rights;
mod schema;
mod server;

use tokio_postgres::Client;

use super::clock::Clocks;
use super::deadline::Deadline;
use super::finding::Finding;
use super::shared::Later;
use crate::config::Config;
use crate::postgres::start::{self, StartError};
use crate::runtime::error_chain::error_chain;

/// What a finding about the connection is about.
const ABOUT: &str = "postgresql";

/// Every tenant that has a device.
const TENANTS: &str = "SELECT DISTINCT tenant_id FROM device_registry ORDER BY tenant_id";

/// All tenants of the registry.
///
/// # Errors
/// PostgreSQL's error chain.
pub(crate) async fn tenants(database: &Client) -> Result<Vec<String>, String> {
    let rows = database.query(TENANTS, &[]).await.map_err(|error| error_chain(&error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The findings about PostgreSQL.
pub(super) async fn check(
    config: &Config,
    deadline: Deadline,
    clocks: &Clocks,
    shared: &Later<Vec<String>>,
) -> Vec<Finding> {
    let checked = match deadline.of(ABOUT, start::open(&config.postgres)).await {
        Ok(Ok((connector, client))) => {
            let looked = async {
                let mut findings = look(config, &client, clocks, shared).await;
                findings.extend(pooler::check(&connector, &client).await);
                findings
            };
            deadline.of(ABOUT, looked).await
        }
        Ok(Err(error)) => Err(refused(&error)),
        Err(finding) => Err(finding),
    };
    // Nobody waits for what will not come.
    shared.set(None);
    clocks.postgres.set(None);
    checked.unwrap_or_else(|finding| vec![finding])
}

fn refused(error: &StartError) -> Finding {
    let why = error_chain(error);
    match error {
        StartError::Settings(_) => Finding::err(ABOUT, why, "mend the setting"),
        _ => {
            let advice = "check DATABASE_URL (or PG_HOST, PG_PORT, PG_DB, PG_USER, PG_PASS), PG_SSLMODE, and that the server runs";
            Finding::away(ABOUT, format!("no connection: {why}"), advice)
        }
    }
}

async fn look(config: &Config, client: &Client, clocks: &Clocks, shared: &Later<Vec<String>>) -> Vec<Finding> {
    let mut findings = said("postgresql version", server::check(client, clocks).await);
    findings.extend(said("postgresql durability", durability::check(config, client).await));
    findings.extend(said("postgresql connections", capacity::check(config, client).await));
    let (is_there, about_schema) = schema::check(config, client).await;
    findings.extend(about_schema);
    if !is_there {
        return findings;
    }
    match tenants(client).await {
        Ok(tenants) => {
            findings.insert(0, Finding::ok(ABOUT, format!("{} tenants in the registry", tenants.len())));
            shared.set(Some(tenants));
        }
        Err(why) => findings.push(Finding::err(ABOUT, why, "grant the role SELECT on device_registry")),
    }
    findings.extend(said("postgresql rights", rights::check(config, client).await));
    findings.extend(said("postgresql partitions", partitions::check(client).await));
    findings.extend(said("postgresql contents", content::check(config, client).await));
    findings
}

/// What was found, or that the question was refused.
fn said(about: &str, found: Result<Vec<Finding>, tokio_postgres::Error>) -> Vec<Finding> {
    found.unwrap_or_else(|error| {
        vec![Finding::err(
            about,
            error_chain(&error),
            "grant the role what the message names (SECURITY.md, Rights in PostgreSQL)",
        )]
    })
}
