//! A pooler in transaction mode between node and server: sessions share a backend, so that LISTEN, advisory locks and session
//! settings are lost or another's.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use crate::app::preflight::result::CheckResult;
use crate::postgres::connector::Connector;
use crate::runtime::error_chain::error_chain;

const ABOUT: &str = "postgresql pooler";

/// Bound on a statement of the second session.
const BOUND: Duration = Duration::from_secs(5);

/// Sets the same session setting to different values in two sessions: each must find its own again.
pub(super) async fn check(connector: &Connector, client: &Client) -> Option<CheckResult> {
    let other = match connector.open(BOUND).await {
        Ok(other) => other,
        Err(error) => {
            let found = format!("a second connection is refused: {error}");
            return Some(CheckResult::err(
                "postgresql connections",
                found,
                "allow the role as many connections as the node needs",
            ));
        }
    };
    match sees_others(client, &other).await {
        Ok(false) => None,
        Ok(true) => Some(CheckResult::err(
            ABOUT,
            "sessions share a backend (a pooler in transaction mode): LISTEN and session settings do not last",
            "connect directly, or through a pool in session mode (pgbouncer: pool_mode = session)",
        )),
        Err(error) => {
            let advice = "connect directly, or through a pool in session mode";
            Some(CheckResult::err(ABOUT, error_chain(&error), advice))
        }
    }
}

async fn sees_others(one: &Client, other: &Client) -> Result<bool, Error> {
    const SET: &str = "SELECT set_config('ingest_node.doctor', $1, false)";
    const GET: &str = "SELECT current_setting('ingest_node.doctor', true)";
    one.query_one(SET, &[&"one"]).await?;
    other.query_one(SET, &[&"other"]).await?;
    let found: Option<String> = one.query_one(GET, &[]).await?.get(0);
    Ok(found.as_deref() != Some("one"))
}
