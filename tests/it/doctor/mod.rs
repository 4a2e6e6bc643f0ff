//! `ingest-node doctor`: misconfigured servers, each found with what to do; a healthy world, in which nothing is.

mod healthy;
mod influx;
mod machine;
mod mqtt;
mod nats;
mod postgres;
mod unreachable;

use ingest_kit::NodeBuilder;
use serde::Deserialize;

use crate::world::DEADLINE;

/// One element of the list that `--json` prints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    pub level: String,
    pub about: String,
    pub found: String,
    pub advice: Option<String>,
}

/// What a doctor says, and the exit code.
#[derive(Debug)]
pub(crate) struct Report {
    pub code: Option<i32>,
    pub found: Vec<Found>,
}

/// Runs `doctor --json` with the settings of a node.
pub(crate) async fn doctor(node: NodeBuilder) -> Report {
    let finished = node.arguments(&["doctor", "--json"]).run_to_end(DEADLINE).await;
    let found = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    Report { code: finished.code, found }
}

impl Report {
    /// Checks that each misconfiguration is named, at its level, with advice: level, about, a part of what was found.
    pub(crate) fn assert_names(&self, expected: &[(&str, &str, &str)]) {
        let missing: Vec<_> = expected
            .iter()
            .filter(|(level, about, part)| {
                !self.found.iter().any(|one| {
                    one.level == *level
                        && one.about == *about
                        && one.found.contains(part)
                        && one.advice.as_ref().is_some_and(|advice| !advice.is_empty())
                })
            })
            .collect();
        assert!(missing.is_empty(), "not found: {missing:#?}\namong: {:#?}", self.found);
    }

    /// What is not as it should be about these.
    pub(crate) fn wrong(&self, about: &str) -> Vec<&Found> {
        self.found.iter().filter(|one| one.level != "OK" && one.about.starts_with(about)).collect()
    }

    /// What was found about this.
    pub(crate) fn found(&self, about: &str) -> String {
        self.found.iter().filter(|one| one.about == about).map(|one| one.found.as_str()).collect()
    }
}
