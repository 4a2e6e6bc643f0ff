//! Capacity: whether InfluxDB can hold every tenant. Asked beside the start of `run`, and among the results of `doctor`.

use thiserror::Error;

use super::postgres::tenants;
use super::result::CheckResult;
use crate::config::Config;
use crate::postgres::start::{self, StartError};
use crate::sink::influx::error::{CheckError, SettingsError};
use crate::sink::influx::{Backend, CapacityReport};

/// What such results are about.
pub(super) const ABOUT: &str = "influxdb";

/// Why there is no result.
#[derive(Debug, Error)]
pub(crate) enum CapacityError {
    /// There is no connection to PostgreSQL, which knows the tenants.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It does not name them.
    #[error(transparent)]
    Tenants(#[from] tokio_postgres::Error),
    /// The settings of InfluxDB can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// InfluxDB does not answer, or does not let the node look.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// The result, where PostgreSQL and InfluxDB answer.
///
/// # Errors
/// Where one of them does not.
pub(crate) async fn check(config: &Config) -> Result<Option<CheckResult>, CapacityError> {
    if !config.influx.write_enabled {
        return Ok(None);
    }
    let (_, database) = start::open(&config.postgres).await?;
    let tenants = tenants(&database).await?;
    Ok(Some(result(Backend::new(&config.influx)?.check(&tenants).await?)))
}

/// The report as a result.
pub(super) fn result(report: CapacityReport) -> CheckResult {
    let CapacityReport { found, advice } = report;
    match advice {
        None => CheckResult::ok(ABOUT, found),
        Some(advice) => CheckResult::warn(ABOUT, found, advice),
    }
}
