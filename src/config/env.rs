//! The environment variables.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::settings::all;

/// The environment variables, injected so that tests need not touch the process's own.
#[derive(Debug, Default)]
pub(crate) struct Env(HashMap<String, OsString>);

impl Env {
    /// The process's variables.
    pub(crate) fn process() -> Self {
        // A name that is not UTF-8 is none of ours.
        Self(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// The variables that are set, by name. An empty one counts as not set.
    pub(super) fn set(&self) -> Vec<(&str, &str)> {
        let set = self.0.iter().filter(|(_, value)| !value.is_empty());
        let mut set: Vec<_> = set.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        set.sort_unstable();
        set
    }

    /// The files that secrets are read from, each after the variable that names it.
    pub(super) fn secret_files(&self) -> Vec<(String, PathBuf)> {
        let secrets = all().filter(|setting| setting.value_type.is_secret()).filter_map(|setting| setting.env);
        let files = secrets.chain(["PG_PASS"]).map(|name| format!("{name}_FILE"));
        files.filter_map(|name| Some((name.clone(), self.get(&name).ok()??.into()))).collect()
    }

    /// A variable's text. An empty one counts as not set: that is how compose files leave a variable out.
    ///
    /// # Errors
    /// A sentence, where it is not text.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
                None => Err(format!("{name} is not UTF-8 text")),
            },
        }
    }

    /// A secret's text, from `NAME` or from the file that `NAME_FILE` names, and which of the two it was.
    ///
    /// # Errors
    /// A sentence, where both are set or the file can't be read.
    pub(super) fn secret(&self, name: &str) -> Result<Option<(String, String)>, String> {
        let file_name = format!("{name}_FILE");
        match (self.get(name)?, self.get(&file_name)?) {
            (Some(_), Some(_)) => Err(format!("{name} and {file_name} are both set; set one of them")),
            (Some(text), None) => Ok(Some((text.to_owned(), name.to_owned()))),
            (None, Some(path)) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| format!("{file_name} can't be read from {path}: {error}"))?;
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    return Err(format!("{file_name} names an empty file: {path}"));
                }
                Ok(Some((text.to_owned(), file_name)))
            }
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
impl Env {
    /// With this variable, too.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}
