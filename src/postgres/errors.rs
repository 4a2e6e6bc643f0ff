//! What PostgreSQL's errors are about, counted for `/metrics` wherever one is read.

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::metrics::{ErrorClass, count_error};

/// Counts an error of the driver.
pub(crate) fn count(error: &Error) {
    count_error(error.code().map_or(ErrorClass::Connection, class));
}

/// Counts an error of the pool.
pub(crate) fn count_of_pool(error: &PoolError) {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => count(error),
        PoolError::Timeout(_) => count_error(ErrorClass::Timeout),
        _ => count_error(ErrorClass::Other),
    }
}

/// Counts work that was given up as no answer came in time.
pub(crate) fn count_timeout() {
    count_error(ErrorClass::Timeout);
}

/// Counts a connection that ended without an error of its own.
pub(crate) fn count_closed() {
    count_error(ErrorClass::Connection);
}

/// The class of a SQLSTATE (PostgreSQL manual, appendix A).
fn class(code: &SqlState) -> ErrorClass {
    match (code.code(), code.code().get(..2).unwrap_or_default()) {
        ("57014" | "25P03" | "25P04" | "57P05", _) => ErrorClass::Timeout,
        ("25006", _) => ErrorClass::ReadOnly,
        ("42501", _) => ErrorClass::Permission,
        (_, "08") => ErrorClass::Connection,
        (_, "57") => ErrorClass::Shutdown,
        (_, "53") => ErrorClass::Resources,
        (_, "40" | "55") => ErrorClass::Conflict,
        (_, "28") => ErrorClass::Login,
        (_, "42" | "3D" | "3F" | "0A") => ErrorClass::Schema,
        (_, "23" | "44") => ErrorClass::Constraint,
        (_, "22" | "54") => ErrorClass::Data,
        (_, "P0" | "38" | "39") => ErrorClass::Raised,
        (_, "58" | "XX") => ErrorClass::System,
        _ => ErrorClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_tell_apart_is_a_class_of_its_own() {
        for (code, expected) in [
            ("08006", ErrorClass::Connection),
            ("57014", ErrorClass::Timeout),
            ("57P01", ErrorClass::Shutdown),
            ("25006", ErrorClass::ReadOnly),
            ("53100", ErrorClass::Resources),
            ("40P01", ErrorClass::Conflict),
            ("28P01", ErrorClass::Login),
            ("42501", ErrorClass::Permission),
            ("42P01", ErrorClass::Schema),
            ("23505", ErrorClass::Constraint),
            ("22003", ErrorClass::Data),
            ("P0001", ErrorClass::Raised),
            ("XX001", ErrorClass::System),
            ("ABC12", ErrorClass::Other),
        ] {
            assert_eq!(class(&SqlState::from_code(code)), expected, "{code}");
        }
    }
}
