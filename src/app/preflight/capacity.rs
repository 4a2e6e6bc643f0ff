//! Capacity: whether InfluxDB can hold every tenant. Asked beside the start of `run`, and among the results of `doctor`.

use super::postgres::tenants;
use super::result::CheckResult;
use crate::config::Config;
use crate::postgres::start;
use crate::runtime::error_chain::error_chain;
use crate::sink::influx::{Backend, CapacityReport};

/// What such results are about.
pub(super) const ABOUT: &str = "influxdb";

/// The result, where PostgreSQL and InfluxDB answer.
///
/// # Errors
/// A sentence, where one of them does not.
pub(crate) async fn check(config: &Config) -> Result<Option<CheckResult>, String> {
    if !config.influx.write_enabled {
        return Ok(None);
    }
    let (_, database) = start::open(&config.postgres).await.map_err(|error| error_chain(&error))?;
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
