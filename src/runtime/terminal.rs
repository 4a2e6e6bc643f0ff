//! What commands say to people: answers on standard output, complaints on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output; whoever closed it early has read enough.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Writes one line to standard error; nobody is left to tell if that fails.
pub(crate) fn print_error(sentence: impl Display) {
    let _ = writeln!(io::stderr(), "ingest-node: {sentence}");
}
