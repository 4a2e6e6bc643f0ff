//! What every process that runs shows from its first moment on: the listener of probes, and what it shows.

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use slog::{Logger, info};

use crate::config::Config;
use crate::http;
use crate::metrics::Metrics;
use crate::runtime::exit::Exit;
use crate::runtime::log_queue;
use crate::runtime::readiness::Readiness;
use crate::runtime::stats::Stats;

/// Starts the listener of probes.
///
/// # Errors
/// The exit code and a sentence that names the setting, where its address can't be had.
pub(super) fn serve(
    config: &Config,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    stats: &Arc<Stats>,
    log: &Logger,
) -> Result<ServerHandle, (Exit, String)> {
    let shown = readiness.clone();
    metrics.health.read_from(move || shown.health());
    metrics.log_lines_dropped.read_from(log_queue::dropped);
    let started = http::start(&config.http, readiness.clone(), metrics.clone(), stats.clone());
    let (address, server) = started.map_err(|why| (Exit::Config, why.to_string()))?;
    info!(log, "listening"; "http" => %address);
    Ok(server)
}
