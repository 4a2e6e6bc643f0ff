//! What is found while the configuration is gathered: every error and every notice, not the first alone.

use std::collections::BTreeSet;

/// Why there is no configuration: one sentence for each error, which names the setting and the accepted form, never a
/// value. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ConfigErrors(pub(super) Vec<String>);

impl ConfigErrors {
    /// The sentences, in the order in which the sources are read.
    pub(crate) fn sentences(&self) -> &[String] {
        &self.0
    }
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    /// What keeps the node from starting.
    pub errors: Vec<String>,
    /// What is worth a warning: variables without effect, doubtful combinations, safety that is switched off.
    pub notices: Vec<String>,
    /// Settings whose value could not be read. Defaults stand in for them, so nothing can be concluded from them.
    unread: BTreeSet<&'static str>,
    is_file_unread: bool,
}

impl Diagnostics {
    /// An error.
    pub(super) fn error(&mut self, sentence: impl Into<String>) {
        self.errors.push(sentence.into());
    }

    /// A setting's value could not be read.
    pub(super) fn unread(&mut self, key: &'static str, sentence: impl Into<String>) {
        self.unread.insert(key);
        self.error(sentence);
    }

    /// Nothing of the file could be read.
    pub(super) fn file_unread(&mut self, sentence: impl Into<String>) {
        self.is_file_unread = true;
        self.error(sentence);
    }

    /// Whether the value of this setting is the one that was asked for, as far as the sources could be read.
    pub(super) fn is_value_known(&self, key: &str) -> bool {
        !self.unread.contains(key)
    }

    /// Whether something can be concluded from the value of this setting.
    pub(super) fn is_read(&self, key: &str) -> bool {
        !self.is_file_unread && self.is_value_known(key)
    }
}
