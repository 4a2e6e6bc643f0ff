//! The way from defaults, a file and the environment to a configuration, in this order.
//!
//! Strict: an unknown key or an unparseable value anywhere is one plain sentence, all of them are given, and nothing starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::diagnostics::{ConfigErrors, Diagnostics};
use super::env::Env;
use super::layered::LayeredConfig;
use super::source::Source;
use super::tables::Config;
use super::{advice, rules, variables};
use crate::runtime::logging;

/// A configuration and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration, checked.
    pub config: Config,
    /// What is worth a warning: variables without effect, doubtful combinations, safety that is switched off.
    pub notices: Vec<String>,
    /// The files that secrets come from, each after the variable that names it.
    pub secret_files: Vec<(String, PathBuf)>,
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Where a setting's value came from.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or_default()
    }
}

/// All that was found: a configuration if there are no errors, and what there is of one otherwise.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(super) loaded: Loaded,
    pub(super) diagnostics: Diagnostics,
}

impl Gathered {
    /// The configuration.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn accept(self) -> Result<Loaded, ConfigErrors> {
        match self.diagnostics.errors.is_empty() {
            true => Ok(self.loaded),
            false => Err(ConfigErrors(self.diagnostics.errors)),
        }
    }

    /// Everything that is worth a warning.
    pub(crate) fn notices(&self) -> &[String] {
        &self.loaded.notices
    }

    /// The form of the log as far as it could be read, for those who must be told of errors.
    pub(crate) fn log_format(&self) -> logging::Format {
        self.loaded.config.log.format
    }
}

impl Config {
    /// Gathers the configuration: defaults under the file (`named`, else the default one if it exists) under the environment.
    pub(crate) fn gather(named: Option<&Path>, env: &Env) -> Gathered {
        let (mut layered, mut diagnostics) = (LayeredConfig::default(), Diagnostics::default());
        layered.read_file(named, &mut diagnostics);
        layered.read_env(env, &mut diagnostics);
        diagnostics.notices.extend(variables::misspelt(&env.set()));
        let (mut config, sources) = layered.build(&mut diagnostics);
        if !sources.contains_key("postgres.pool_min") {
            // Who asks for a small pool need not know of our minimum.
            config.postgres.pool_min = config.postgres.pool_min.min(config.postgres.pool_max);
        }
        // Likewise who asks for a short drain: what is held on purpose ends before it.
        let drain_secs = config.supervisor.longest_wait_secs();
        for (key, secs) in
            [("routes.retry_secs", &mut config.routes.retry_secs), ("influx.drain_secs", &mut config.influx.drain_secs)]
        {
            if !sources.contains_key(key) {
                *secs = drain_secs.min(*secs);
            }
        }
        rules::check(&config, &mut diagnostics);
        advice::add(&config, &mut diagnostics);
        let notices = std::mem::take(&mut diagnostics.notices);
        let secret_files = env.secret_files();
        Gathered { loaded: Loaded { config, notices, secret_files, sources }, diagnostics }
    }

    /// The configuration of these sources.
    #[cfg(test)]
    pub(super) fn load(named: Option<&Path>, env: &Env) -> Result<Loaded, ConfigErrors> {
        Self::gather(named, env).accept()
    }
}
