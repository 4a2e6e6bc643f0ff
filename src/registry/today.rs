//! What the registry and the run-time settings say at this moment: asked once, without any effect.

use deadpool_postgres::Pool;

use super::error::RegistryError;
use super::lookup::{self, Devices};
use super::query::ask;
use super::settings;
use ingest_core::message::device::{DeviceKey, Lookup};
use ingest_core::validate::settings::Settings;

/// What the registry answers about a device; nothing is registered.
///
/// # Errors
/// Where the database is at fault.
pub(crate) async fn device_today(pool: &Pool, key: &DeviceKey) -> Result<DeviceToday, RegistryError> {
    ask(pool, async |client| {
        let Devices { known, .. } = lookup::devices(client, std::slice::from_ref(key)).await?;
        let lookup = known.into_iter().next().map_or(Lookup::Unknown, |(_, lookup)| lookup);
        let registered = lookup::registered(client, std::slice::from_ref(&key.tenant_id)).await?;
        Ok(DeviceToday { lookup, tenant_is_registered: !registered.is_empty() })
    })
    .await
}

/// A device as the registry has it.
#[derive(Clone, Debug)]
pub(crate) struct DeviceToday {
    /// What validation is told of it.
    pub lookup: Lookup,
    /// Whether its tenant has a registered device.
    pub tenant_is_registered: bool,
}

/// The run-time settings as a node that starts now would have them.
///
/// # Errors
/// Where the database is at fault.
pub(crate) async fn settings_today(pool: &Pool) -> Result<Settings, RegistryError> {
    let read = settings::settings(pool).await?;
    let rows = read.rows.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let (mut settings, _) = Settings::default().apply(rows);
    settings.replay_key = read.replay_key.flatten();
    Ok(settings)
}
