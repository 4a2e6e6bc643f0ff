//! What the tests share: sources made of text.

use std::path::PathBuf;

use crate::config::{Config, ConfigErrors, Env, Loaded};

/// A file of its own, gone with the test.
pub(super) struct TempFile(pub(super) PathBuf);

impl TempFile {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ingest-node-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn from_env<const N: usize>(variables: [(&str, &str); N]) -> Result<Loaded, ConfigErrors> {
    // The default file need not exist, and does not here: unit tests run in the repository's root, where it changes nothing.
    Config::load(None, &Env::from(variables))
}

pub(super) fn from_file(name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
    let file = TempFile::new(name, text);
    Config::load(Some(&file.0), &Env::default())
}
