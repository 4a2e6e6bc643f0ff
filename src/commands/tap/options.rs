//! Which messages, and of which node.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::commands::quarantine::reason_parser;
use ingest_core::message::rejection::Reason;
use ingest_core::tap::Outcome;

/// Which messages, and of which node.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Of this tenant only.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Of this device only.
    #[arg(long)]
    pub device: Option<String>,
    /// With this outcome only.
    #[arg(long, value_parser = PossibleValuesParser::new(Outcome::ALL.map(Outcome::as_str)))]
    pub outcome: Option<String>,
    /// Rejected for this reason only, in upper or lower case.
    #[arg(long, ignore_case = true, value_parser = reason_parser())]
    pub reason: Option<Reason>,
    /// End after so many messages.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// The node's admin listener [default: at ADMIN_BIND].
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A file that holds the admin key [default: ADMIN_KEY].
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

impl Options {
    /// What is asked of the listener.
    pub(super) fn path(&self) -> String {
        let reason = self.reason.map(Reason::as_str);
        let members = [
            ("tenant", self.tenant.as_deref()),
            ("device", self.device.as_deref()),
            ("outcome", self.outcome.as_deref()),
            ("reason", reason),
        ];
        let mut path = format!("/tap?limit={}", self.limit);
        for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            path.extend(["&", name, "="]);
            path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        path
    }
}
