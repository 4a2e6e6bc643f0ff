//! Terminal output of commands: results on standard output, errors on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output; a closed pipe is ignored.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Writes one line to standard error; failures are ignored.
pub(crate) fn print_error(message: impl Display) {
    let _ = writeln!(io::stderr(), "ingest-node: {message}");
}
