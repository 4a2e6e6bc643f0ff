//! The tenant's database in InfluxDB: looked for before a registration and asked for after it, which it neither delays for
//! long nor fails.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::api::{DatabaseState, InfluxDatabase};

/// Longest wait for either answer of InfluxDB.
const BOUND: Duration = Duration::from_millis(500);

/// Where tenants' databases are.
pub(crate) trait TenantDatabases: Send + Sync {
    /// What a tenant's database is called.
    fn name(&self, tenant_id: &str) -> String;
    /// Looks for it, and makes nothing: [`DatabaseState::Requested`] where it may be made.
    fn look(&self, tenant_id: &str) -> LocalBoxFuture<'static, DatabaseState>;
    /// Makes it.
    fn make(&self, tenant_id: &str) -> LocalBoxFuture<'static, DatabaseState>;
}

/// A look at a tenant's database.
pub(super) struct Looked {
    databases: Arc<dyn TenantDatabases>,
    tenant_id: String,
    /// `None` where there was no answer in time.
    state: Option<DatabaseState>,
}

/// Looks for a tenant's database.
pub(super) async fn look(databases: Arc<dyn TenantDatabases>, tenant_id: &str) -> Looked {
    let state = timeout(BOUND, databases.look(tenant_id)).await.ok();
    Looked { databases, tenant_id: tenant_id.to_owned(), state }
}

impl Looked {
    /// Has the database made where it is missing, now that the tenant has a device.
    pub(super) async fn request(self) -> InfluxDatabase {
        let name = self.databases.name(&self.tenant_id);
        let state = match self.state {
            Some(DatabaseState::Requested) | None => {
                // Goes on by itself where it takes longer.
                let making = actix_rt::spawn(self.databases.make(&self.tenant_id));
                match self.state {
                    // A server that has just been silent is not waited for again.
                    None => DatabaseState::Requested,
                    Some(_) => match timeout(BOUND, making).await {
                        Ok(Ok(state)) => state,
                        _ => DatabaseState::Requested,
                    },
                }
            }
            Some(state) => state,
        };
        InfluxDatabase { name, state }
    }
}
