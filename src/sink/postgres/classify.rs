//! The only place that reads the driver's errors: what does a failed attempt mean for its batch?
//!
//! Decided by SQLSTATE (PostgreSQL manual, appendix A), never by words, which follow the server's language. What we do
//! not know is held and said, never quarantined: a server that is set up wrong must not cost a single message.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::sentence::sentence;
use crate::sink::Fault;

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A row is there already: somebody's earlier attempt has committed it.
    Duplicate,
    /// A row falls on a day without a partition.
    MissingPartition,
    /// Anything else.
    Fault(Fault),
}

impl Failure {
    /// Whether the connection is as good as before: the server answered in order and has rolled back.
    pub fn leaves_connection_usable(&self) -> bool {
        matches!(self, Failure::Duplicate | Failure::MissingPartition | Failure::Fault(Fault::Poison { .. }))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => classify(refusal),
            None => Failure::Fault(Fault::Transient(sentence(&error))),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => error.into(),
            PoolError::Timeout(TimeoutType::Wait) => transient("no connection of the pool became free"),
            PoolError::Timeout(_) => transient("PostgreSQL did not answer a new connection"),
            other => transient(&other.to_string()),
        }
    }
}

/// A fault that passes, in our own words.
pub fn transient(words: &str) -> Failure {
    Failure::Fault(Fault::Transient(words.to_owned()))
}

fn classify(refusal: &DbError) -> Failure {
    let code = refusal.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return Failure::Duplicate;
    }
    // A violated check has a name; a missing partition shares its code and has none.
    if *code == SqlState::CHECK_VIOLATION && refusal.constraint().is_none() {
        return Failure::MissingPartition;
    }
    // The format of our COPY does not fit the table: no row is to blame.
    if *code == SqlState::INVALID_BINARY_REPRESENTATION || *code == SqlState::BAD_COPY_FILE_FORMAT {
        return Failure::Fault(Fault::Fatal(describe(refusal)));
    }
    Failure::Fault(match code.code().get(..2).unwrap_or_default() {
        // Data exception, integrity constraint, program limit.
        "22" | "23" | "54" => {
            Fault::Poison { at: refusal.where_().and_then(copy_line), message: without_values(refusal) }
        }
        // Connection, transaction state (a standby), rollback, resources, prerequisite state, operator, system, internal.
        "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => Fault::Transient(describe(refusal)),
        // 42 (missing table, permission), 3F, 3D, 28, 0A and all the rest.
        _ => Fault::Fatal(describe(refusal)),
    })
}

/// The 0-based row that `COPY` was at. The context reads `COPY raw_events, line 3, column payload`, in the server's
/// language: so the first number after the table's name.
fn copy_line(context: &str) -> Option<usize> {
    let place = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    let (_, after_table) = place.split_once(", ")?;
    let digits = after_table.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

fn describe(refusal: &DbError) -> String {
    format!("{} ({})", refusal.message(), refusal.code().code())
}

/// Messages of class 22 quote the offending value; those of the others quote names.
fn without_values(refusal: &DbError) -> String {
    let message = if refusal.code().code().starts_with("22") {
        let parts = refusal.message().split('"').enumerate();
        parts.map(|(index, part)| if index % 2 == 0 { part } else { "..." }).collect::<Vec<_>>().join("\"")
    } else {
        refusal.message().to_owned()
    };
    format!("{message} ({})", refusal.code().code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_copy_error_is_found_in_any_language() {
        assert_eq!(copy_line("COPY raw_events, line 3, column payload"), Some(2));
        assert_eq!(copy_line("COPY raw_events, Zeile 17"), Some(16));
        assert_eq!(copy_line("JSON data, line 1: {...\nCOPY t2_x, line 9, column payload"), Some(8));
        assert_eq!(copy_line("SQL statement \"SELECT 1\""), None);
        assert_eq!(copy_line("COPY raw_events"), None);
    }

    #[test]
    fn nothing_that_answers_later_is_blamed_on_a_row() {
        assert_eq!(Failure::from(PoolError::Closed), transient(&PoolError::Closed.to_string()));
        assert!(!Failure::from(PoolError::Timeout(TimeoutType::Create)).leaves_connection_usable());
    }
}
