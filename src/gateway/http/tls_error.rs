//! Why there is no TLS.

use std::fmt::Display;

use thiserror::Error;

/// Why the settings make no TLS; one sentence that names the setting and the file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct TlsError(String);

impl TlsError {
    /// As this sentence has it.
    pub(super) fn new(sentence: &dyn Display) -> Self {
        Self(sentence.to_string())
    }
}
