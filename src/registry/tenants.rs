//! Which tenants have devices, as far as changes told: who prepares for new tenants hears of each once.

use std::collections::HashSet;
use std::sync::Arc;

use actix::prelude::*;
use deadpool_postgres::Pool;

use super::Registry;
use super::error::RegistryError;
use super::query::{ask, read};
use crate::message::TenantsRegistered;

/// Questions about tenants at once: what changes name is anybody's who may notify. Others wait for their next change.
const MOST_ASKED: usize = 16;

/// Most tenants remembered; beyond, all are forgotten, and heard of once more.
const MOST: usize = 100_000;

/// Tenants that have been heard of.
#[derive(Debug, Default)]
pub(super) struct KnownTenants {
    names: HashSet<Arc<str>>,
    /// Questions under way.
    asked: usize,
}

impl KnownTenants {
    /// Remembers a tenant; whether it is new.
    pub(super) fn insert(&mut self, tenant: Arc<str>) -> bool {
        if self.names.len() >= MOST {
            self.names.clear();
        }
        self.names.insert(tenant)
    }

    /// Forgets a tenant.
    pub(super) fn remove(&mut self, tenant: &Arc<str>) {
        self.names.remove(tenant);
    }
}

impl Registry {
    /// Devices of a tenant changed (of any tenant, where none is named): it may be a new one. Best effort.
    pub(super) fn look_for_new_tenants(&mut self, tenant: Option<&str>, ctx: &mut Context<Self>) {
        let Some(new_tenants) = self.parts.new_tenants.clone() else { return };
        if self.tenants.asked >= MOST_ASKED {
            return;
        }
        let (pool, tenant) = (self.parts.pool.clone(), tenant.map(Arc::<str>::from));
        // At once, so that a burst of new devices asks one question.
        if tenant.as_ref().is_some_and(|tenant| !self.tenants.insert(tenant.clone())) {
            return;
        }
        self.tenants.asked += 1;
        let found = async move {
            let found = with_devices(&pool, tenant.as_deref()).await;
            (tenant, found.unwrap_or_default())
        };
        ctx.spawn(found.into_actor(self).map(move |(asked, found), registry, _| {
            registry.tenants.asked -= 1;
            // Not there, or not answered: the next change asks again.
            if let Some(asked) = asked {
                registry.tenants.remove(&asked);
            }
            let changes: Vec<Arc<str>> =
                found.into_iter().filter(|tenant| registry.tenants.insert(Arc::clone(tenant))).collect();
            if !changes.is_empty() {
                new_tenants.do_send(TenantsRegistered(changes));
            }
        }));
    }
}

/// This tenant, if it has a device; every tenant that has one, where none is named.
async fn with_devices(pool: &Pool, tenant: Option<&str>) -> Result<Vec<Arc<str>>, RegistryError> {
    const SQL: &str = "SELECT DISTINCT tenant_id::text FROM device_registry WHERE tenant_id = $1 OR $1 IS NULL";
    let rows = ask(pool, async |client| read(client, SQL, &[&tenant]).await).await?;
    Ok(rows.iter().filter_map(|row| row.try_get::<_, &str>(0).ok()).map(Arc::from).collect())
}
