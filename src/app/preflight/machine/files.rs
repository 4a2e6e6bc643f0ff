//! Files with secrets that others may read.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::app::preflight::result::CheckResult;
use crate::config::Loaded;

const ABOUT: &str = "secret files";

/// A result for each file with a secret whose permissions are wide.
pub(super) fn check(loaded: &Loaded) -> Vec<CheckResult> {
    let mode_of = |path: &Path| path.metadata().ok().map(|file| file.permissions().mode());
    let named: BTreeSet<(String, PathBuf)> = named(loaded).collect();
    let results: Vec<CheckResult> = named
        .iter()
        .filter_map(|(name, path)| {
            let who = readable_by(mode_of(path)?)?;
            let found = format!("{name}: {} is open to {who}", path.display());
            Some(CheckResult::warn(ABOUT, found, "chmod 0600 it, or 0440 with the node's group"))
        })
        .collect();
    if results.is_empty() { vec![CheckResult::ok(ABOUT, format!("{} looked at", named.len()))] } else { results }
}

/// The files that hold a secret, each after the setting that names it.
fn named(loaded: &Loaded) -> impl Iterator<Item = (String, PathBuf)> {
    let config = &loaded.config;
    let keys = [
        ("NATS_CREDS_FILE", &config.nats.creds_file),
        ("NATS_KEY_FILE", &config.nats.key_file),
        ("PG_SSLKEY", &config.postgres.ssl_key),
    ];
    let keys = keys.into_iter().filter_map(|(name, path)| Some((name.to_owned(), path.clone()?)));
    loaded.secret_files.iter().cloned().chain(keys)
}

/// Who may do with a secret's file what only the node should. The group may read it: that is how Kubernetes hands secrets to
/// a process that is not root.
fn readable_by(mode: u32) -> Option<&'static str> {
    match mode {
        _ if mode & 0o007 != 0 => Some("every user of the machine"),
        _ if mode & 0o020 != 0 => Some("changes by its group"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_a_reading_group_have_access() {
        for mode in [0o100_600, 0o100_400, 0o100_440, 0o100_640] {
            assert_eq!(readable_by(mode), None, "{mode:o}");
        }
        for mode in [0o100_644, 0o100_604, 0o100_602, 0o100_660] {
            assert!(readable_by(mode).is_some(), "{mode:o}");
        }
    }
}
