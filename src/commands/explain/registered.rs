//! The device of a message, as the registry has it now, and what is on record of its numbers.

use super::database::{Database, DatabaseError};
use super::stored::micros;
use ingest_core::explain::{Device, DeviceFacts, Gaps};
use ingest_core::message::device::DeviceKey;

/// What the registry holds of a device. `tenant_is_registered`: another device of its tenant is registered, too.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn device(
    database: &Database,
    key: &DeviceKey,
    tenant_is_registered: bool,
) -> Result<Device, DatabaseError> {
    const SQL: &str = "
        SELECT r.site_id::text, r.status::text, s.status::text, r.provision_token_hash IS NOT NULL, r.updated_at::timestamptz
        FROM device_registry r LEFT JOIN subscriptions s ON s.subscription_id::text = r.subscription_id::text
        WHERE r.tenant_id = $1 AND r.device_id = $2";
    let found = database.rows(SQL, &[&&*key.tenant_id, &&*key.device_id]).await?;
    let (tenant, device) = (key.tenant_id.to_string(), key.device_id.to_string());
    Ok(match found.first() {
        None => Device::Unregistered { tenant, device, tenant_is_registered },
        Some(row) => Device::Registered(DeviceFacts {
            tenant,
            device,
            site: row.get::<_, Option<String>>(0).unwrap_or_default(),
            status: row.get::<_, Option<String>>(1).unwrap_or_default(),
            subscription: row.get(2),
            has_token: row.get(3),
            updated_us: micros(row, 4),
        }),
    })
}

/// What is on record of a device's numbers, and of its silence; `None` where nothing is.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn gaps(database: &Database, key: &DeviceKey) -> Result<Option<Gaps>, DatabaseError> {
    const SQL: &str = "
        SELECT last_seq, seq_missing, seq_late, seq_repeats, seq_resets, seq_missing_ranges, usual_interval_ms, last_seen_at,
            silent_since
        FROM device_state WHERE tenant_id = $1 AND device_id = $2";
    let found = database.rows(SQL, &[&&*key.tenant_id, &&*key.device_id]).await?;
    Ok(found.first().map(|row| {
        let ranges: Vec<i64> = row.get::<_, Option<Vec<i64>>>(5).unwrap_or_default();
        Gaps {
            last_seq: row.get(0),
            missing: row.get(1),
            late: row.get(2),
            repeats: row.get(3),
            resets: row.get(4),
            ranges: ranges.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
            usual_interval_ms: row.get(6),
            last_seen_us: micros(row, 7),
            silent_since_us: micros(row, 8),
        }
    }))
}
