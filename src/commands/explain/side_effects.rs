//! What shadow reports and acknowledgements change: the state of their device, and its commands.

use super::database::{Database, DatabaseError};
use super::stored::micros;
use ingest_core::explain::{Command, Shadow};
use ingest_core::message::device::DeviceKey;

/// The reported state of a device, beside a report of this version.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn shadow(database: &Database, device: &DeviceKey, claimed: i64) -> Result<Shadow, DatabaseError> {
    const SQL: &str = "SELECT reported_version::bigint, reported_at::timestamptz FROM device_state WHERE tenant_id = $1 AND device_id = $2";
    let found = database.rows(SQL, &[&&*device.tenant_id, &&*device.device_id]).await?;
    let row = found.first();
    Ok(Shadow { claimed, version: row.and_then(|row| row.get(0)), reported_us: row.and_then(|row| micros(row, 1)) })
}

/// A command of a device.
///
/// # Errors
/// See [`DatabaseError`].
pub(super) async fn command(database: &Database, device: &DeviceKey, id: &str) -> Result<Command, DatabaseError> {
    const SQL: &str = "SELECT status::text, acked_at::timestamptz FROM device_commands
                       WHERE tenant_id = $1 AND device_id = $2 AND command_id = $3";
    let found = database.rows(SQL, &[&&*device.tenant_id, &&*device.device_id, &id]).await?;
    let row = found.first();
    Ok(Command {
        id: id.to_owned(),
        status: row.and_then(|row| row.get(0)),
        acked_us: row.and_then(|row| micros(row, 1)),
    })
}
