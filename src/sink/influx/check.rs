//! What a server can hold, beside the tenants that there are.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Api;
use super::backend::{Backend, Store};
use super::classify::is_header_malformed;
use super::error::CheckError;
use super::request::Server;
use ingest_core::flow::capacity::{self, Demand};

/// What a server or directory can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CapacityReport {
    /// What is there, in a few words.
    pub found: String,
    /// What an operator should do, where it can't hold all tenants' points as they are to be laid out.
    pub advice: Option<String>,
}

/// The answer to `GET /ping`.
#[derive(Deserialize)]
pub(super) struct Ping {
    /// The edition.
    pub product_name: String,
}

/// What InfluxDB 3 lists its databases with.
pub(super) const LIST: &str = "/api/v3/configure/database?format=json";

/// One of them.
#[derive(Deserialize)]
pub(super) struct Database {
    #[serde(rename = "iox::database")]
    name: String,
}

/// The databases that count: the server's own does not.
pub(super) fn counted(databases: Vec<Database>) -> BTreeSet<String> {
    databases.into_iter().map(|database| database.name).filter(|name| name != "_internal").collect()
}

impl Backend {
    /// Looks whether these tenants' points can be held.
    ///
    /// # Errors
    /// Where the server does not answer or does not let us look.
    pub(crate) async fn check(&self, tenants: &[String]) -> Result<CapacityReport, CheckError> {
        match &self.store {
            Store::Files(directory, _) => {
                Ok(CapacityReport { found: format!("files below {}", directory.display()), advice: None })
            }
            Store::Server(server) if server.api() == Api::V2 => self.check_v2(server).await,
            Store::Server(server) => {
                let wanted = tenants.iter().map(|tenant_id| self.database(tenant_id)).collect();
                let (tenants, is_shared) = (tenants.len(), !self.is_per_tenant());
                check_v3(server, |exist| Demand { exist, wanted, tenants, is_shared }).await
            }
        }
    }

    /// The v2 API tells nothing of limits; but VictoriaMetrics speaks it and has no buckets: tenants would share series.
    async fn check_v2(&self, server: &Server) -> Result<CapacityReport, CheckError> {
        // It answers Prometheus' API too, InfluxDB does not.
        let is_victoria_metrics = matches!(server.get("/api/v1/status/buildinfo").await?, (200, _));
        if !is_victoria_metrics {
            return Ok(CapacityReport {
                found: format!("a server with the v2 API at {}", server.base()),
                advice: None,
            });
        }
        let advice = self.is_per_tenant().then(|| {
            "VictoriaMetrics has no buckets, so tenants whose devices have the same names would share their series: set \
             INFLUXDB_DATABASE_LAYOUT=shared, which tags points with their tenant"
                .to_owned()
        });
        Ok(CapacityReport { found: format!("VictoriaMetrics at {}", server.base()), advice })
    }
}

async fn check_v3(
    server: &Server,
    demand: impl FnOnce(BTreeSet<String>) -> Demand,
) -> Result<CapacityReport, CheckError> {
    let Ping { product_name } = asked(server, "/ping").await?;
    let found = format!("{product_name} at {}", server.base());
    let Some(most) = capacity::most_databases(&product_name) else { return Ok(CapacityReport { found, advice: None }) };
    let exist = counted(asked(server, LIST).await?);
    Ok(CapacityReport { found, advice: capacity::advice(&product_name, most, &demand(exist)) })
}

async fn asked<T: for<'de> Deserialize<'de>>(server: &Server, path: &'static str) -> Result<T, CheckError> {
    match server.get(path).await? {
        (200, answer) => serde_json::from_str(&answer).map_err(|_| CheckError::Unexpected(path)),
        (401 | 403, _) => Err(CheckError::Denied(path)),
        (400, answer) if is_header_malformed(answer.as_bytes()) => Err(CheckError::Token(path)),
        (status, _) => Err(CheckError::Status(path, status)),
    }
}
