//! Auto-provisioning: an unknown device is registered where an ACTIVE MAIN subscription of its tenant has room.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::core::device::DeviceKey;
use crate::sentence::sentence;

/// No node has anything to forget: none answers for a device that it does not know without asking again soon.
const QUIET: &str = "SET LOCAL ingest_node.quiet = 'on'";
/// One tenant's provisioning at a time, over all replicas: capacity is counted once under concurrent first messages.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('ingest-node provision ' || $1, 0))";
const ROOM: &str = "
SELECT subscription_id, device_limit - active_device_count AS room FROM subscriptions
WHERE tenant_id = $1 AND subscription_type = 'MAIN' AND status = 'ACTIVE' AND active_device_count < device_limit
ORDER BY subscription_id FOR UPDATE";
const EXISTING: &str = "SELECT device_id FROM device_registry WHERE tenant_id = $1 AND device_id = ANY($2)";
const REGISTER: &str = "
INSERT INTO device_registry (tenant_id, device_id, site_id, status, subscription_id)
SELECT $1, d.device_id, d.site_id, 'ACTIVE', $4 FROM unnest($2::text[], $3::text[]) AS d (device_id, site_id)";
const COUNT: &str =
    "UPDATE subscriptions SET active_device_count = active_device_count + $2 WHERE subscription_id = $1";

/// What became of unknown devices.
#[derive(Debug, Default)]
pub struct Provisioned {
    /// Registered now, or by another replica in the meantime: to be looked up again.
    pub registered: Vec<DeviceKey>,
    /// Registered by this call.
    pub made: u64,
    /// What PostgreSQL refused to register, by tenant: left unknown, so that one tenant's trouble holds up no other.
    pub errors: Vec<String>,
    /// For these no subscription had room.
    pub no_room: Vec<DeviceKey>,
}

/// Registers devices at the sites they claim, tenant by tenant.
///
/// # Errors
/// What the driver says; tenants before the failed one keep what was done.
pub async fn provision(client: &mut Client, devices: &[(DeviceKey, String)]) -> Result<Provisioned, Error> {
    let mut tenants: BTreeMap<&Arc<str>, Vec<&(DeviceKey, String)>> = BTreeMap::new();
    for device in devices {
        tenants.entry(&device.0.tenant_id).or_default().push(device);
    }
    let mut provisioned = Provisioned::default();
    for (tenant, devices) in tenants {
        let transaction = client.transaction().await?;
        match provision_tenant(&transaction, tenant, &devices).await {
            Ok(of_tenant) => {
                transaction.commit().await?;
                provisioned.add(of_tenant);
            }
            Err(error) if is_refusal(&error) => {
                transaction.rollback().await?;
                provisioned.errors.push(format!("tenant {tenant}: {}", sentence(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(provisioned)
}

/// Whether PostgreSQL refused what we asked for (data exception, constraint), and would again.
fn is_refusal(error: &Error) -> bool {
    let class = error.code().and_then(|code| code.code().get(..2));
    matches!(class, Some("22" | "23")) && error.code() != Some(&SqlState::UNIQUE_VIOLATION)
}

impl Provisioned {
    fn add(&mut self, more: Provisioned) {
        self.registered.extend(more.registered);
        self.made += more.made;
        self.errors.extend(more.errors);
        self.no_room.extend(more.no_room);
    }
}

async fn provision_tenant(
    transaction: &Transaction<'_>,
    tenant: &str,
    devices: &[&(DeviceKey, String)],
) -> Result<Provisioned, Error> {
    let mut provisioned = Provisioned::default();
    transaction.batch_execute(QUIET).await?;
    transaction.execute(LOCK, &[&tenant]).await?;
    let ids: Vec<&str> = devices.iter().map(|(key, _)| &*key.device_id).collect();
    let existing = transaction.query(EXISTING, &[&tenant, &ids]).await?;
    let existing: HashSet<&str> = existing.iter().map(|row| row.get(0)).collect();
    let (there, mut missing): (Vec<&(DeviceKey, String)>, Vec<_>) =
        devices.iter().copied().partition(|(key, _)| existing.contains(&*key.device_id));
    provisioned.registered.extend(there.iter().map(|(key, _)| key.clone()));
    for subscription in transaction.query(ROOM, &[&tenant]).await? {
        let (id, room): (&str, i32) = (subscription.get(0), subscription.get(1));
        let fitting: Vec<_> = missing.drain(..missing.len().min(room.max(0) as usize)).collect();
        if fitting.is_empty() {
            break;
        }
        let ids: Vec<&str> = fitting.iter().map(|(key, _)| &*key.device_id).collect();
        let sites: Vec<&str> = fitting.iter().map(|(_, site)| site.as_str()).collect();
        let made = transaction.execute(REGISTER, &[&tenant, &ids, &sites, &id]).await?;
        transaction.execute(COUNT, &[&id, &(made as i32)]).await?;
        provisioned.made += made;
        provisioned.registered.extend(fitting.iter().map(|(key, _)| key.clone()));
    }
    provisioned.no_room.extend(missing.iter().map(|(key, _)| key.clone()));
    Ok(provisioned)
}
