//! What a failed attempt at an outside system means.

use std::fmt;

/// What a failed attempt means for the work it was about. Made only in the sinks' `classify.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It may pass (server away, timeout, deadlock): hold the work and try again.
    Transient(String),
    /// This very item can never be stored; `at` names it (0-based) where the server did.
    Poison {
        /// Index of the item in the attempt.
        at: Option<usize>,
        /// The server's words, without values.
        message: String,
    },
    /// The target is set up wrong (missing table, no permission): hold the work, say so plainly, try again.
    Fatal(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Transient(words) | Fault::Fatal(words) | Fault::Poison { message: words, .. } => f.write_str(words),
        }
    }
}
