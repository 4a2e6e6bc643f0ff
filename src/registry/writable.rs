//! Whether PostgreSQL takes writes at all. A standby, or a read-only default, is found without a message to write.

use deadpool_postgres::{Client, Pool};
use slog::{Logger, info, warn};

use super::error::RegistryError;
use super::query::bounded;
use crate::runtime::readiness::{Condition, Readiness};

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Whatever its role may.
    Writes,
    /// It is connected to a standby.
    Standby,
    /// `default_transaction_read_only` is on for the server, the database or the role.
    ReadOnly,
}

impl Access {
    /// Why nothing can be written.
    const fn fault(self) -> Option<&'static str> {
        match self {
            Access::Writes => None,
            Access::Standby => Some("it is a standby and takes no writes until it is promoted"),
            Access::ReadOnly => Some("it takes no writes: default_transaction_read_only is on"),
        }
    }
}

/// Asks outside of any transaction, so that the answer is about the next one.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn access(client: &Client) -> Result<Access, RegistryError> {
    const SQL: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
    let row = bounded(client.query_one(SQL, &[])).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Access::Standby,
        (false, true) => Access::ReadOnly,
        (false, false) => Access::Writes,
    })
}

/// Shows it in `/ready`, and logs a change.
pub(super) fn show(access: Access, pool: &Pool, readiness: &Readiness, log: &Logger) {
    const CONDITION: Condition = Condition::Writable;
    let is_known = !readiness.holds(CONDITION);
    match access.fault() {
        Some(why) => {
            if !is_known {
                warn!(log, "postgresql is read-only, holding"; "why" => why);
            }
            readiness.down(CONDITION, why);
            // A session keeps the default that it began with: only a new one shows when that is over.
            pool.retain(|_, _| false);
        }
        None => {
            if is_known {
                info!(log, "postgresql is no longer read-only");
            }
            readiness.up(CONDITION);
        }
    }
}
