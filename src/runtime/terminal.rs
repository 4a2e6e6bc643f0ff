//! Terminal output of commands: results on standard output, errors on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output; a closed pipe is ignored.
pub(crate) fn print(text: &str) {
    let _ = try_print(text);
}

/// Writes to standard output; whether somebody is there to read it.
pub(crate) fn try_print(text: &str) -> bool {
    let mut output = io::stdout();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_ok()
}

/// Writes one line to standard error; failures are ignored.
pub(crate) fn print_error(message: impl Display) {
    let _ = writeln!(io::stderr(), "ingest-node: {message}");
}
