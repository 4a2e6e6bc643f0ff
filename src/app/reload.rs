//! Rotated secrets and the level of the log: read again on SIGHUP, and when a server refuses a log-in.

use std::sync::Arc;
use std::time::Duration;

use slog::{Logger, info, warn};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::{Config, Gathered};
use crate::runtime::log_level::LogLevel;
use crate::runtime::signals::Hangup;

/// Least time between two readings that refused log-ins cause: they come as often as clients try.
const PAUSE: Duration = Duration::from_secs(1);

/// What it takes to read settings again.
pub(crate) struct Reloads {
    /// Gathers the configuration as at the start.
    pub load: Box<dyn Fn() -> Gathered>,
    /// SIGHUP.
    pub hangup: Hangup,
    /// The log's level.
    pub level: LogLevel,
}

/// Reads secrets and the level of the log again whenever there may be newer ones, as long as the process runs. All other
/// settings stay as they are until a restart. What can't be read leaves those in force.
pub(crate) async fn run(config: Config, reloads: Reloads, log: Logger) {
    let Reloads { load, mut hangup, level } = reloads;
    let refused = Arc::new(Notify::new());
    for (_, secret) in config.secrets() {
        secret.notify_refused(refused.clone());
    }
    let mut failure = None;
    let mut next = Instant::now();
    loop {
        let is_asked_for = tokio::select! {
            () = hangup.next() => true,
            () = async { sleep_until(next).await; refused.notified().await; } => false,
        };
        next = Instant::now() + PAUSE;
        match load().accept() {
            Ok(newer) => {
                failure = None;
                let mut changed = replace(&config, &newer.config);
                changed.extend(level.set(&newer.config.log.level).then_some("log.level"));
                if is_asked_for || !changed.is_empty() {
                    info!(log, "secrets and log level read again"; "changed" => changed.join(", "));
                }
            }
            Err(error) => {
                let error = error.to_string();
                // Log-ins are refused again and again; one cause is logged once.
                if is_asked_for || failure.as_ref() != Some(&error) {
                    warn!(log, "secrets can't be read again; those in force stay"; "error" => &error);
                }
                failure = Some(error);
            }
        }
    }
}

/// Takes over the newer secrets; returns the settings that changed.
fn replace(config: &Config, newer: &Config) -> Vec<&'static str> {
    let pairs = config.secrets().into_iter().zip(newer.secrets());
    pairs.filter(|((_, secret), (_, newer))| secret.replace(newer)).map(|((key, _), _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    #[test]
    fn only_what_differs_is_named() {
        let (config, mut newer) = (Config::default(), Config::default());
        newer.nats.token = Secret::new("rotated");
        assert_eq!(replace(&config, &newer), ["nats.token"]);
        assert_eq!(&*config.nats.token.expose(), "rotated");
        assert!(replace(&config, &newer).is_empty());
    }
}
