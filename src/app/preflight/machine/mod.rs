//! The node's own side: its settings, the files that they name, and the machine.

mod disk;
mod files;
mod host;
mod settings;
mod tls;

pub(crate) use self::settings::ABOUT as SETTINGS;
use super::deadline::Deadline;
use super::result::CheckResult;
use crate::config::Loaded;

/// The results about settings, files and machine.
pub(super) async fn check(loaded: &Loaded, deadline: Deadline) -> Vec<CheckResult> {
    let config = &loaded.config;
    let mut results = settings::check(loaded);
    results.extend(tls::check(config));
    results.extend(files::check(loaded));
    results.push(host::descriptors());
    results.extend(disk::check(&config.influx));
    let address = config.http.bind;
    results.push(deadline.of(host::HTTP, host::http(address)).await.unwrap_or_else(|result| result));
    if !config.admin.key.is_empty() {
        let check = host::admin(config.admin.bind, address);
        results.push(deadline.of(host::ADMIN, check).await.unwrap_or_else(|result| result));
    }
    results
}
