//! The only place that reads the driver's errors: what does a failed attempt mean for its batch?
//!
//! Decided by SQLSTATE (PostgreSQL manual, appendix A), never by words, which follow the server's language. One answer
//! cannot tell whether a row or its table is at fault: `sink::postgres` finds out.

use std::fmt;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::{connector, errors};
use crate::runtime::error_chain::error_chain;
use crate::runtime::fault::Fault;

/// Longest message of the server that is kept: a trigger may say anything.
const MAX_MESSAGE_CHARS: usize = 500;

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection, or no answer: whatever was sent may have been done.
    Away(String),
    /// The server answered with an error, and nothing of the statement was done.
    Answered(ServerError),
}

/// An error of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// What it means.
    pub(crate) meaning: Meaning,
    /// What tells this refusal from another one.
    pub(crate) cause: Cause,
    /// The 0-based row that a `COPY` was at.
    pub(crate) at: Option<usize>,
    /// The server's message without values, and its code.
    pub(crate) message: String,
}

/// What an error of the server means for the rows it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Some of the rows are refused, if not all of them.
    Refused,
    /// The server can't take them now: resources, locks, a standby, rollback.
    NotNow,
    /// The statement does not fit the database: a missing table or column, no permission.
    Unfit,
}

/// Why something was refused: two refusals with the same cause have the same remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cause {
    /// The SQLSTATE.
    pub(crate) code: String,
    /// The constraint or the column, where the server names one.
    pub(crate) object: Option<String>,
    /// The server names the table, but no constraint or column of it.
    pub(crate) is_of_table: bool,
}

impl Failure {
    /// Whether the connection is as good as before: the server has refused a row, and has rolled back. What it prepared for
    /// tables that have changed since is of no use.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        matches!(self, Failure::Answered(ServerError { meaning: Meaning::Refused, .. }))
    }

    /// The same in the words that all sinks share.
    pub(crate) fn fault(self) -> Fault {
        match self {
            Failure::Away(words) => Fault::Transient(words),
            Failure::Answered(ServerError { meaning, at, message, .. }) => match meaning {
                Meaning::Refused => Fault::Poison { at, message },
                Meaning::NotNow => Fault::Transient(message),
                Meaning::Unfit => Fault::Fatal(message),
            },
        }
    }
}

impl ServerError {
    /// Whether a unique key is in the way: ours, if a row is there already, or somebody else's.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.cause.code == SqlState::UNIQUE_VIOLATION.code()
    }

    /// Whether it is about another row than this one, so that it says nothing about the next: a key, an exclusion.
    pub(crate) fn is_about_another_row(&self) -> bool {
        self.is_duplicate() || self.cause.code == SqlState::EXCLUSION_VIOLATION.code()
    }

    /// Whether it is about a row of another table that is missing.
    pub(crate) fn is_about_another_table(&self) -> bool {
        self.cause.code == SqlState::FOREIGN_KEY_VIOLATION.code()
    }

    /// Whether a row falls on a day without a partition. It shares its code with violated checks, which have a name.
    pub(crate) fn is_missing_partition(&self) -> bool {
        self.cause.code == SqlState::CHECK_VIOLATION.code() && self.cause.is_of_table
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Away(message) | Failure::Answered(ServerError { message, .. }) => f.write_str(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        errors::count(&error);
        match error.as_db_error() {
            Some(answer) if !ends_session(answer) => Failure::Answered(read(answer)),
            Some(answer) => Failure::Away(describe(answer)),
            None => Failure::Away(error_chain(&error)),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        errors::count_of_pool(&error);
        match error {
            // Whatever the server says to a new connection, none has come of it.
            PoolError::Backend(error) | PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
                Failure::Away(error.as_db_error().map_or_else(|| connector::describe(&error), describe))
            }
            PoolError::Timeout(TimeoutType::Wait) => transient("no connection of the pool became free"),
            PoolError::Timeout(_) => transient("PostgreSQL did not answer a new connection"),
            other => transient(&other.to_string()),
        }
    }
}

/// A failure that passes, in our own words.
pub(crate) fn transient(words: &str) -> Failure {
    Failure::Away(words.to_owned())
}

fn ends_session(answer: &DbError) -> bool {
    matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

fn read(answer: &DbError) -> ServerError {
    let object = answer.constraint().or(answer.column()).map(str::to_owned);
    ServerError {
        meaning: meaning(answer.code(), answer.where_()),
        cause: Cause {
            code: answer.code().code().to_owned(),
            is_of_table: object.is_none() && answer.table().is_some(),
            object,
        },
        at: answer.where_().and_then(copy_line),
        message: without_values(answer),
    }
}

fn meaning(code: &SqlState, context: Option<&str>) -> Meaning {
    match code.code().get(..2).unwrap_or_default() {
        // Connection, transaction state (a standby), rollback, resources, prerequisite state, operator, system.
        "08" | "25" | "40" | "53" | "55" | "57" | "58" => Meaning::NotNow,
        // Damaged data or index. XX000 may be a row's doing.
        "XX" if *code != SqlState::INTERNAL_ERROR => Meaning::NotNow,
        // Not supported; authorization; grants; catalogue and schema names.
        "0A" | "0L" | "0P" | "28" | "3D" | "3F" => Meaning::Unfit,
        // A statement that can't be understood has no context. A function that runs for a row has: a trigger's, a check's.
        "42" if context.is_none() => Meaning::Unfit,
        // Data exceptions, constraints, limits, PL/pgSQL, and whatever code a trigger may think of.
        _ => Meaning::Refused,
    }
}

/// The 0-based row that `COPY` was at. The context reads `COPY raw_events, line 3, column payload`, in the server's
/// language: so the first number after the table's name.
fn copy_line(context: &str) -> Option<usize> {
    let place = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    let (_, after_table) = place.split_once(", ")?;
    let digits = after_table.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

fn describe(answer: &DbError) -> String {
    format!("{} ({})", cut(answer.message()), answer.code().code())
}

/// Messages of violated constraints and of statements that do not fit the database quote names; those of the others may quote values.
fn without_values(answer: &DbError) -> String {
    let quotes_names = ["23", "42", "53", "55", "57"].iter().any(|class| answer.code().code().starts_with(class));
    if quotes_names {
        return describe(answer);
    }
    let parts = answer.message().split('"').enumerate();
    let masked: Vec<&str> = parts.map(|(index, part)| if index % 2 == 0 { part } else { "..." }).collect();
    format!("{} ({})", cut(&masked.join("\"")), answer.code().code())
}

/// At most [`MAX_MESSAGE_CHARS`] of a message, without U+0000.
fn cut(message: &str) -> String {
    message.chars().filter(|c| *c != '\0').take(MAX_MESSAGE_CHARS).collect()
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

    #[test]
    fn a_code_that_nobody_knows_is_a_refusal_and_one_of_the_servers_own_troubles_is_not() {
        let of = |code: &str, context: Option<&str>| meaning(&SqlState::from_code(code), context);
        for code in ["22003", "23505", "23514", "54000", "P0001", "P0004", "2F003", "39000", "44000", "ABC12", "XX000"]
        {
            assert_eq!(of(code, None), Meaning::Refused, "{code}");
        }
        for code in ["53100", "57014", "58030", "40P01", "25006", "55P03", "08006", "XX002"] {
            assert_eq!(of(code, Some("COPY raw_events, line 1")), Meaning::NotNow, "{code}");
        }
        for code in ["42P01", "42501", "0A000", "3F000"] {
            assert_eq!(of(code, None), Meaning::Unfit, "{code}");
        }
        assert_eq!(of("42883", Some("PL/pgSQL function f() line 1 at assignment")), Meaning::Refused);
    }
}
