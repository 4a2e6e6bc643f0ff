//! Capacity: whether InfluxDB can hold every tenant. Asked beside the start of `run`, and among the findings of `doctor`.

use super::finding::Finding;
use super::postgres::tenants;
use crate::config::Config;
use crate::postgres::start;
use crate::runtime::error_chain::error_chain;
use crate::sink::influx::{Backend, CapacityReport};

/// What such findings are about.
pub(super) const ABOUT: &str = "influxdb";

/// The finding, where PostgreSQL and InfluxDB answer.
///
/// # Errors
/// A sentence, where one of them does not.
pub(crate) async fn check(config: &Config) -> Result<Option<Finding>, String> {
    if !config.influx.write_enabled {
        return Ok(None);
    }
    let (_, database) = start::open(&config.postgres).await.map_err(|error| error_chain(&error))?;
    let tenants = tenants(&database).await?;
    Ok(Some(finding(Backend::new(&config.influx)?.check(&tenants).await?)))
}

/// The report as a finding.
pub(super) fn finding(report: CapacityReport) -> Finding {
    let CapacityReport { found, advice } = report;
    match advice {
        None => Finding::ok(ABOUT, found),
        Some(advice) => Finding::warn(ABOUT, found, advice),
    }
}
