//! Auto-provisioning: an unknown device is registered where an ACTIVE MAIN subscription of its tenant has room.
//!
//! Tenant by tenant, each in a transaction of its own, and within it each device that PostgreSQL refuses is isolated by
//! savepoints: neither a tenant nor a device holds up another.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::error::SqlState;

use super::error::RegistryError;
use super::query::{Asked, bounded, read};
use ingest_core::message::device::DeviceKey;

/// No node has anything to forget: none answers for a device that it does not know without asking again soon. And whoever
/// holds a lock for long (an administrator's open transaction) holds up this tenant alone. Deferred constraints are checked
/// with each statement, so that they can be blamed on a device.
const PREPARE: &str = "SET LOCAL ingest_node.quiet = 'on'; SET LOCAL lock_timeout = 500; \
                       SET LOCAL statement_timeout = 4500; SET CONSTRAINTS ALL IMMEDIATE";
/// One tenant's provisioning at a time, over all replicas: capacity is counted once under concurrent first messages.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('ingest-node provision ' || $1, 0))";
/// Tenants with room, without any lock: strangers' tenants cost no transaction each.
const WITH_ROOM: &str = "
SELECT DISTINCT tenant_id::text FROM subscriptions
WHERE tenant_id = ANY($1) AND subscription_type::text = 'MAIN' AND status::text = 'ACTIVE'
  AND active_device_count < device_limit";
const ROOM: &str = "
SELECT subscription_id::text,
       least(greatest(device_limit::numeric - active_device_count::numeric, 0), 2147483647)::int AS room
FROM subscriptions
WHERE tenant_id = $1 AND subscription_type::text = 'MAIN' AND status::text = 'ACTIVE'
  AND active_device_count < device_limit
ORDER BY subscription_id FOR UPDATE";
const EXISTING: &str = "SELECT device_id::text FROM device_registry WHERE tenant_id = $1 AND device_id = ANY($2)";
const REGISTER: &str = "
INSERT INTO device_registry (tenant_id, device_id, site_id, status, subscription_id)
SELECT $1, d.device_id, d.site_id, 'ACTIVE', s.subscription_id
FROM unnest($2::text[], $3::text[]) AS d (device_id, site_id), subscriptions s WHERE s.subscription_id::text = $4";
const COUNT: &str =
    "UPDATE subscriptions SET active_device_count = active_device_count + $2 WHERE subscription_id::text = $1";

/// What became of unknown devices.
#[derive(Debug, Default)]
pub(super) struct Provisioned {
    /// Registered now, or by another replica in the meantime: to be looked up again.
    pub registered: Vec<DeviceKey>,
    /// Registered by this call.
    pub made: u64,
    /// PostgreSQL refuses to register these.
    pub refused: Vec<(DeviceKey, String)>,
    /// For these no subscription had room.
    pub no_room: Vec<DeviceKey>,
    /// Somebody else holds a lock that is needed: to be tried again.
    pub locked: Vec<Asked>,
}

/// Registers devices at the sites they claim.
///
/// # Errors
/// Where the database is at fault; tenants before the failed one keep what was done.
pub(super) async fn provision(client: &mut Client, devices: Vec<Asked>) -> Result<Provisioned, RegistryError> {
    let mut provisioned = Provisioned::default();
    let mut tenants: BTreeMap<Arc<str>, Vec<Asked>> = BTreeMap::new();
    for device in devices {
        tenants.entry(device.key.tenant_id.clone()).or_default().push(device);
    }
    let names: Vec<&str> = tenants.keys().map(|tenant| &**tenant).collect();
    let with_room: Option<HashSet<String>> = match read(client, WITH_ROOM, &[&names]).await {
        Ok(rows) => Some(rows.iter().filter_map(|row| row.try_get(0).ok()).collect()),
        // One of the names is refused: its own transaction tells which.
        Err(RegistryError::Question(_)) => None,
        Err(fault) => return Err(fault),
    };
    for (tenant, devices) in tenants {
        if with_room.as_ref().is_some_and(|with_room| !with_room.contains(&*tenant)) {
            provisioned.no_room.extend(devices.into_iter().map(|device| device.key));
            continue;
        }
        match in_transaction(client, &tenant, &devices).await {
            Ok(of_tenant) => provisioned.add(of_tenant),
            Err(RegistryError::Locked(_)) => provisioned.locked.extend(devices),
            Err(RegistryError::Question(why)) => {
                provisioned.refused.extend(devices.into_iter().map(|device| (device.key, why.clone())));
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(provisioned)
}

async fn in_transaction(client: &mut Client, tenant: &str, devices: &[Asked]) -> Result<Provisioned, RegistryError> {
    let mut transaction = bounded(client.transaction()).await?;
    let provisioned = of_tenant(&mut transaction, tenant, devices).await;
    match &provisioned {
        Ok(_) => bounded(transaction.commit()).await?,
        Err(_) => bounded(transaction.rollback()).await?,
    }
    provisioned
}

impl Provisioned {
    fn add(&mut self, more: Provisioned) {
        self.registered.extend(more.registered);
        self.made += more.made;
        self.refused.extend(more.refused);
        self.no_room.extend(more.no_room);
        self.locked.extend(more.locked);
    }
}

async fn of_tenant(
    transaction: &mut Transaction<'_>,
    tenant: &str,
    devices: &[Asked],
) -> Result<Provisioned, RegistryError> {
    let mut provisioned = Provisioned::default();
    bounded(transaction.batch_execute(PREPARE)).await?;
    bounded(transaction.execute(LOCK, &[&tenant])).await?;
    let all: Vec<&Asked> = devices.iter().collect();
    let existing = existing(transaction, tenant, &all).await?;
    let (there, missing): (Vec<&Asked>, Vec<&Asked>) =
        devices.iter().partition(|device| existing.contains(&*device.key.device_id));
    provisioned.registered.extend(there.iter().map(|device| device.key.clone()));
    let mut missing = missing.as_slice();
    for subscription in bounded(transaction.query(ROOM, &[&tenant])).await? {
        let id: String = subscription.try_get(0)?;
        let mut room = subscription.try_get::<_, i32>(1)?.max(0) as usize;
        let mut made = 0;
        while room > 0 && !missing.is_empty() {
            let (fitting, rest) = missing.split_at(missing.len().min(room));
            missing = rest;
            // What is refused leaves its room to others.
            let registered = register(transaction, tenant, &id, fitting, &mut provisioned).await?;
            room -= registered;
            made += registered;
        }
        if made > 0 {
            bounded(transaction.execute(COUNT, &[&id, &(made as i32)])).await?;
        }
    }
    provisioned.no_room.extend(missing.iter().map(|device| device.key.clone()));
    Ok(provisioned)
}

/// Which of these devices are registered by now.
async fn existing(
    transaction: &Transaction<'_>,
    tenant: &str,
    devices: &[&Asked],
) -> Result<HashSet<String>, RegistryError> {
    let ids: Vec<&str> = devices.iter().map(|device| &*device.key.device_id).collect();
    let rows = bounded(transaction.query(EXISTING, &[&tenant, &ids])).await?;
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
}

/// Registers what PostgreSQL takes, in as few pieces as it takes to leave out what it refuses; how many it took.
async fn register(
    transaction: &mut Transaction<'_>,
    tenant: &str,
    subscription: &str,
    devices: &[&Asked],
    provisioned: &mut Provisioned,
) -> Result<usize, RegistryError> {
    let mut registered = 0;
    let mut open = vec![devices];
    while let Some(devices) = open.pop() {
        let piece = bounded(transaction.savepoint("piece")).await?;
        match insert(&piece, tenant, subscription, devices).await {
            Ok(made) => {
                bounded(piece.commit()).await?;
                registered += made as usize;
                provisioned.made += made;
                provisioned.registered.extend(devices.iter().map(|device| device.key.clone()));
                continue;
            }
            Err(refusal) => {
                bounded(piece.rollback()).await?;
                // Rolled back, it still stands: hundreds of them would pile up.
                bounded(transaction.batch_execute("RELEASE piece")).await?;
                let RegistryError::Question(why) = blame(transaction, refusal).await? else { continue };
                match devices {
                    // Another's registration may have been the key in the way.
                    [one] if existing(transaction, tenant, devices).await?.is_empty() => {
                        provisioned.refused.push((one.key.clone(), why));
                    }
                    [one] => provisioned.registered.push(one.key.clone()),
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        open.extend([second, first]);
                    }
                }
            }
        }
    }
    Ok(registered)
}

async fn insert(piece: &Transaction<'_>, tenant: &str, subscription: &str, devices: &[&Asked]) -> Result<u64, Denial> {
    let ids: Vec<&str> = devices.iter().map(|device| &*device.key.device_id).collect();
    let sites: Vec<&str> = devices.iter().map(|device| device.site.as_str()).collect();
    bounded(async {
        Ok(piece.execute(REGISTER, &[&tenant, &ids, &sites, &subscription]).await.map_err(|error| Denial {
            is_denied: error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            fault: error.into(),
        }))
    })
    .await
    .unwrap_or_else(|fault| Err(Denial { is_denied: false, fault }))
}

/// Why rows were not inserted.
struct Denial {
    is_denied: bool,
    fault: RegistryError,
}

/// The fault of a refusal as the devices' own, or as an error. A policy of row security refuses a row by the same code by
/// which a missing right refuses all of them.
async fn blame(transaction: &Transaction<'_>, refusal: Denial) -> Result<RegistryError, RegistryError> {
    const MAY_INSERT: &str = "SELECT has_table_privilege('device_registry', 'INSERT')
        AND has_table_privilege('subscriptions', 'SELECT')";
    match refusal.fault {
        RegistryError::Question(why) => Ok(RegistryError::Question(why)),
        fault if refusal.is_denied => {
            let may_insert = bounded(transaction.query_one(MAY_INSERT, &[])).await?.try_get(0)?;
            if may_insert {
                Ok(RegistryError::Question("PostgreSQL refuses it (42501)".to_owned()))
            } else {
                Err(fault)
            }
        }
        fault => Err(fault),
    }
}
