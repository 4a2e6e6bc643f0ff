//! Fault: how a failed attempt at an outside system is classified.

use std::fmt;

/// The class of a failed attempt, which decides what happens to its work. Made only in `classify.rs` files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It may pass (server unreachable, timeout, deadlock): keep the work and retry.
    Transient(String),
    /// One item can never be stored; `at` is its index where the server named it.
    Poison {
        /// 0-based index of the item in the attempt.
        at: Option<usize>,
        /// The server's message, without values.
        message: String,
    },
    /// The target is misconfigured (missing table, no permission): keep the work, log it, and retry.
    Fatal(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Transient(message) | Fault::Fatal(message) | Fault::Poison { message, .. } => f.write_str(message),
        }
    }
}
