//! A pooler in transaction mode between node and server: sessions share a backend, so that LISTEN, advisory locks and session
//! settings are lost or another's.

use std::time::Duration;

use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::app::preflight::result::CheckResult;
use crate::postgres::connector::Connector;
use crate::runtime::error_chain::error_chain;

const ABOUT: &str = "postgresql pooler";

/// Bound on a statement of the second session.
const BOUND: Duration = Duration::from_secs(5);
/// Looks at the sessions' backends.
const ROUNDS: usize = 10;

/// Whether both sessions keep a backend of their own.
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
    match shares_backend(client, &other).await {
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

/// Whether one session meets another backend, or that of the other session. Rounds, as a pooler takes any backend that is free;
/// while the other session holds one in a transaction, this one must get another.
async fn shares_backend(one: &Client, other: &Client) -> Result<bool, Error> {
    let own = backend(one).await?;
    for _ in 0..ROUNDS {
        other.batch_execute("BEGIN").await?;
        let taken = backend(other).await?;
        let met = backend(one).await?;
        other.batch_execute("COMMIT").await?;
        if met != own || taken == own {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The backend's process id. A simple query: prepared statements do not survive such a pooler.
async fn backend(client: &Client) -> Result<Option<String>, Error> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
