//! The node's own side: its settings, the files that they name, and the machine.

mod disk;
mod files;
mod host;
mod settings;
mod tls;

pub(crate) use self::settings::ABOUT as SETTINGS;
use super::deadline::Deadline;
use super::finding::Finding;
use crate::config::Loaded;

/// The findings about settings, files and machine.
pub(super) async fn check(loaded: &Loaded, deadline: Deadline) -> Vec<Finding> {
    let config = &loaded.config;
    let mut findings = settings::check(loaded);
    findings.extend(tls::check(config));
    findings.extend(files::check(loaded));
    findings.push(host::descriptors());
    findings.extend(disk::check(&config.influx));
    let address = config.http.bind;
    findings.push(deadline.of(host::HTTP, host::http(address)).await.unwrap_or_else(|finding| finding));
    findings
}
