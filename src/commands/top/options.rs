//! Which nodes, and how they are shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Which nodes, and how they are shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The admin listener of a node; given several times, the nodes are side by side [default: at ADMIN_BIND].
    #[arg(long, value_name = "URL")]
    pub url: Vec<String>,
    /// A file that holds the admin key of all of them [default: ADMIN_KEY].
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub interval: u32,
    /// Print lines, as where standard output is no terminal.
    #[arg(long)]
    pub plain: bool,
    /// Look once and end; as lines.
    #[arg(long)]
    pub once: bool,
}

impl Options {
    /// Time between two looks.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }
}
