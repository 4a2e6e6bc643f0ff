//! The device of a message, as the registry has it now.

use super::database::{Database, DatabaseError};
use super::stored::micros;
use ingest_core::explain::{Device, DeviceFacts};
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
