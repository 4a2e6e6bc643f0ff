//! Why a question to PostgreSQL has no answer: is PostgreSQL at fault, or the question?
//!
//! Decided by SQLSTATE (PostgreSQL manual, appendix A). What is at fault as a whole is asked again, whatever the question;
//! what only this question meets would meet it again, so it is answered without PostgreSQL.

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use thiserror::Error;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::postgres::{connector, errors};
use crate::runtime::error_chain::error_chain;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RegistryError {
    /// It is away, or does not let the node in.
    #[error("{0}")]
    Away(String),
    /// It is there, but not set up for this, or short of something.
    #[error("{0}")]
    Database(String),
    /// It said nothing in time: the connection may be dead.
    #[error("PostgreSQL did not answer in time")]
    Silent,
    /// All connections of the pool were in use: it may well be there.
    #[error("no connection of the pool became free")]
    Busy,
    /// Somebody else holds a lock that this question needs, for longer than it may wait.
    #[error("{0}")]
    Locked(String),
    /// The question, or a row that it reads or writes, is refused. Without values.
    #[error("{0}")]
    Question(String),
}

impl RegistryError {
    /// Whether the question is to blame, and not the database.
    pub(super) fn is_of_the_question(&self) -> bool {
        matches!(self, RegistryError::Question(_))
    }

    /// Whether nothing at all can be asked.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        matches!(self, RegistryError::Away(_) | RegistryError::Silent)
    }
}

impl From<Error> for RegistryError {
    fn from(error: Error) -> Self {
        errors::count(&error);
        let Some(refusal) = error.as_db_error() else { return RegistryError::Away(error_chain(&error)) };
        let code = refusal.code();
        match code {
            // Permission, missing table: not set up. A missing column or function is found by the probe of a look-up.
            &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::UNDEFINED_TABLE => {
                RegistryError::Database(error_chain(&error))
            }
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::QUERY_CANCELED => {
                RegistryError::Locked(error_chain(&error))
            }
            &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => RegistryError::Question(in_short(code)),
            _ => match code.code().get(..2).unwrap_or_default() {
                // Triggered action, cardinality, data, constraint, triggered data change, syntax or rule, check option,
                // program limit, raised by a function.
                "09" | "21" | "22" | "23" | "27" | "42" | "44" | "54" | "P0" => RegistryError::Question(in_short(code)),
                // Connection, shutdown.
                "08" | "57" => RegistryError::Away(error_chain(&error)),
                _ => RegistryError::Database(error_chain(&error)),
            },
        }
    }
}

impl From<PoolError> for RegistryError {
    fn from(error: PoolError) -> Self {
        errors::count_of_pool(&error);
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                RegistryError::Away(connector::describe(&error))
            }
            PoolError::Timeout(TimeoutType::Wait) => RegistryError::Busy,
            PoolError::Timeout(_) => RegistryError::Silent,
            other => RegistryError::Away(error_chain(&other)),
        }
    }
}

/// The server's words may hold values, so the code stands for them.
fn in_short(code: &SqlState) -> String {
    format!("PostgreSQL refuses it ({})", code.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_without_a_free_connection_is_not_a_database_that_is_away() {
        assert_eq!(RegistryError::from(PoolError::Timeout(TimeoutType::Wait)), RegistryError::Busy);
        assert_eq!(RegistryError::from(PoolError::Timeout(TimeoutType::Create)), RegistryError::Silent);
        assert!(matches!(RegistryError::from(PoolError::Closed), RegistryError::Away(_)));
    }
}
