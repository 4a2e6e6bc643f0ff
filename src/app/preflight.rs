//! What is there beside what is configured: for `check-config --online`, and a word at the start of `run`.

use tokio_postgres::Client;

use crate::config::Config;
use crate::postgres::{pool, schema};
use crate::runtime::error_chain::error_chain;
use crate::sink::influx::{Backend, Survey};

/// Every tenant that has a device.
const TENANTS: &str = "SELECT DISTINCT tenant_id FROM device_registry ORDER BY tenant_id";

/// All tenants of the registry.
///
/// # Errors
/// PostgreSQL's words.
pub(crate) async fn tenants(database: &Client) -> Result<Vec<String>, String> {
    let rows = database.query(TENANTS, &[]).await.map_err(|error| error_chain(&error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What a look at a dependency found: its name, and what is there or what is wrong.
pub(crate) struct Finding {
    /// Which dependency.
    pub of: &'static str,
    /// What is there.
    pub result: Result<Survey, String>,
}

/// Looks at PostgreSQL, and at where points go with the tenants that PostgreSQL knows.
pub(crate) async fn look(config: &Config) -> Vec<Finding> {
    let mut tenants = Vec::new();
    let postgres = look_at_postgres(config, &mut tenants).await;
    let mut findings = vec![Finding { of: "postgresql", result: postgres }];
    if config.influx.write_enabled {
        findings.push(Finding { of: "influxdb", result: look_at_influx(config, &tenants).await });
    }
    findings
}

async fn look_at_postgres(config: &Config, tenants: &mut Vec<String>) -> Result<Survey, String> {
    let connection = pool::connection_config(&config.postgres).map_err(|error| error_chain(&error))?;
    let database = pool::connect(&connection).await.map_err(|error| error_chain(&error))?;
    if let Err(error) = schema::check_schema(&database).await {
        return Ok(Survey {
            found: "a database that this version can't work with".to_owned(),
            advice: Some(error_chain(&error)),
        });
    }
    let warnings = schema::warnings(&database).await.map_err(|error| error_chain(&error))?;
    *tenants = self::tenants(&database).await?;
    let advice = (!warnings.is_empty()).then(|| warnings.join("; "));
    Ok(Survey { found: format!("{} tenants in the registry", tenants.len()), advice })
}

async fn look_at_influx(config: &Config, tenants: &[String]) -> Result<Survey, String> {
    Backend::new(&config.influx)?.survey(tenants).await
}
