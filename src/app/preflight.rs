//! Preflight checks: compares the dependencies with the configuration, for `check-config --online` and for the log at the
//! start of `run`.

use tokio_postgres::Client;

use crate::config::Config;
use crate::postgres::{schema, start};
use crate::runtime::error_chain::error_chain;
use crate::sink::influx::{Backend, CapacityReport};

/// Every tenant that has a device.
const TENANTS: &str = "SELECT DISTINCT tenant_id FROM device_registry ORDER BY tenant_id";

/// All tenants of the registry.
///
/// # Errors
/// PostgreSQL's error chain.
pub(crate) async fn tenants(database: &Client) -> Result<Vec<String>, String> {
    let rows = database.query(TENANTS, &[]).await.map_err(|error| error_chain(&error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The result of checking one dependency.
pub(crate) struct CheckResult {
    /// The dependency's name.
    pub dependency: &'static str,
    /// What was found, or why the check failed.
    pub result: Result<CapacityReport, String>,
}

/// Checks PostgreSQL, and the InfluxDB backend against the tenants that PostgreSQL has.
pub(crate) async fn check(config: &Config) -> Vec<CheckResult> {
    let mut tenants = Vec::new();
    let postgres = check_postgres(config, &mut tenants).await;
    let mut results = vec![CheckResult { dependency: "postgresql", result: postgres }];
    if config.influx.write_enabled {
        results.push(CheckResult { dependency: "influxdb", result: check_influx(config, &tenants).await });
    }
    results
}

async fn check_postgres(config: &Config, tenants: &mut Vec<String>) -> Result<CapacityReport, String> {
    let (_, database) = start::open(&config.postgres).await.map_err(|error| error_chain(&error))?;
    if let Err(error) = schema::check_schema(&database).await {
        return Ok(CapacityReport {
            found: "a database that this version can't work with".to_owned(),
            advice: Some(error_chain(&error)),
        });
    }
    let warnings = schema::warnings(&database).await.map_err(|error| error_chain(&error))?;
    *tenants = self::tenants(&database).await?;
    let advice = (!warnings.is_empty()).then(|| warnings.join("; "));
    Ok(CapacityReport { found: format!("{} tenants in the registry", tenants.len()), advice })
}

async fn check_influx(config: &Config, tenants: &[String]) -> Result<CapacityReport, String> {
    Backend::new(&config.influx)?.check(tenants).await
}
