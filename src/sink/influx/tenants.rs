//! Databases for tenants whose first device is registered while we run, so that their first point meets one. Best effort:
//! where that fails, the first point makes the database, or waits for it on record.

use std::collections::HashSet;
use std::sync::Arc;

use slog::{Logger, debug, info, warn};
use tokio::sync::mpsc::UnboundedReceiver;

use super::backend::Backend;
use super::classify::Provisioned;

/// Provisions one tenant after another, each once.
pub(super) async fn provision(backend: Backend, mut tenants: UnboundedReceiver<Arc<str>>, log: Logger) {
    let mut seen = HashSet::new();
    while let Some(tenant_id) = tenants.recv().await {
        let database = backend.database(&tenant_id);
        if !seen.insert(database.clone()) {
            continue;
        }
        match backend.provision(&tenant_id).await {
            Provisioned::Made => info!(log, "a new tenant has its database";
                "tenant_id" => &*tenant_id, "database" => database),
            Provisioned::Exists => debug!(log, "a new tenant's database was there"; "tenant_id" => &*tenant_id),
            Provisioned::Warned(why) | Provisioned::NoRoom(why) | Provisioned::Failed(why) => {
                warn!(log, "a new tenant's database could not be made beforehand"; "tenant_id" => &*tenant_id, "why" => why);
            }
        }
    }
}
