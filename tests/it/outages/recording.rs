//! Figures of outages as they are, for the tests of the alerts (`monitoring/recorded`): before, when it shows, and a while later.
//!
//! A tool that is off unless `RECORD_OUTAGES` names a folder; `scripts/record-monitoring` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingest_kit::Node;

/// The third sample comes so long after the second.
const LATER: Duration = Duration::from_secs(40);

/// Samples of one outage; none where nothing is to be recorded.
pub(super) struct Recording {
    file: Option<PathBuf>,
    samples: Vec<BTreeMap<String, String>>,
}

impl Recording {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::var_os("RECORD_OUTAGES");
        let file = folder.map(|folder| Path::new(&folder).join(format!("{}.txt", name.replace(' ', "-"))));
        Self { file, samples: Vec::new() }
    }

    /// Takes a sample.
    pub(super) async fn sample(&mut self, node: &Node) {
        if self.file.is_some() {
            let text = node.get("/metrics").await.expect("metrics").body;
            let figures = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
            let figures = figures.filter_map(|line| line.rsplit_once(' '));
            self.samples.push(figures.map(|(series, value)| (series.to_owned(), value.to_owned())).collect());
        }
    }

    /// Takes the last sample a while later, and writes all: a line for each series, with `-` where it was absent.
    pub(super) async fn sample_later(mut self, node: &Node) {
        let Some(file) = self.file.clone() else { return };
        tokio::time::sleep(LATER).await; // how fast the figures move
        self.sample(node).await;
        let names: BTreeSet<&String> = self.samples.iter().flat_map(BTreeMap::keys).collect();
        let mut text = String::new();
        for name in names {
            let values: Vec<&str> =
                self.samples.iter().map(|sample| sample.get(name).map_or("-", String::as_str)).collect();
            writeln!(text, "{name} {}", values.join(" ")).expect("a line");
        }
        std::fs::write(&file, text).expect("a file");
    }
}
