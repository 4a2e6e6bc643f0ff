//! Devices: registered, listed, revoked.

use std::sync::Arc;

use deadpool_postgres::{Pool, Transaction};
use futures_util::future::OptionFuture;
use slog::Logger;
use tokio_postgres::types::ToSql;

use super::api::{ListedDevice, NewDevice, Registered, Revoked};
use super::databases::{self, TenantDatabases};
use super::error::ProvisionError;
use super::secrets::new_code;
use super::statements;
use super::transaction::in_transaction;
use ingest_core::message::digest::sha256_hex;
use ingest_core::provision::fields;

/// Most devices of a list, and how many where nobody says.
pub(super) const MOST_LISTED: u32 = 1_000;
pub(super) const USUALLY_LISTED: u32 = 200;

/// What administrators do with devices.
pub(crate) struct Devices {
    /// Connections to PostgreSQL.
    pub pool: Pool,
    /// How long an activation code works, in minutes.
    pub activation_ttl_minutes: u32,
    /// Where tenants' databases are; none where no points are written.
    pub databases: Option<Arc<dyn TenantDatabases>>,
    /// Component `provision`.
    pub log: Logger,
}

/// Which devices are listed.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Columns of the registry, and the values that they must have.
    pub equal: Vec<(&'static str, String)>,
    /// Most devices.
    pub limit: u32,
}

impl Devices {
    /// Registers a device, or its new site; whether it is new.
    pub(super) async fn register(&self, device: NewDevice) -> Result<(Registered, bool), ProvisionError> {
        let NewDevice { tenant_id, device_id, site_id, fw_version, metadata } = device;
        fields::check_id("tenant_id", &tenant_id)?;
        fields::check_id("device_id", &device_id)?;
        fields::check_text("site_id", &site_id)?;
        fw_version.as_deref().map_or(Ok(()), |version| fields::check_text("fw_version", version))?;
        let metadata = fields::metadata(&metadata.unwrap_or_default())?;
        let code = new_code()?;
        let (code_hash, minutes) = (sha256_hex(code.as_bytes()), self.activation_ttl_minutes as i32);
        // Before the commit: its notification makes the database, too.
        let look = self.databases.clone().map(|databases| databases::look(databases, &tenant_id));
        let looked = OptionFuture::from(look).await;
        let (is_new, expires_at) = in_transaction(&self.pool, async |transaction: &Transaction<'_>| {
            let device: [&(dyn ToSql + Sync); 5] = [&tenant_id, &device_id, &site_id, &fw_version, &metadata];
            let is_new: bool = transaction.query_one(statements::REGISTER, &device).await?.try_get(0)?;
            transaction.execute(statements::FORGET_CODES, &[&tenant_id, &device_id]).await?;
            let code: [&(dyn ToSql + Sync); 5] = [&tenant_id, &device_id, &code_hash, &site_id, &minutes];
            let expires_at: String = transaction.query_one(statements::ISSUE_CODE, &code).await?.try_get(0)?;
            Ok((is_new, expires_at))
        })
        .await?;
        let influx_database = OptionFuture::from(looked.map(|looked| looked.request())).await;
        let registered =
            Registered { tenant_id, device_id, site_id, activation_code: code, expires_at, influx_database };
        Ok((registered, is_new))
    }

    /// Lists devices, without anything that lets in.
    pub(super) async fn list(&self, filter: Filter) -> Result<Vec<ListedDevice>, ProvisionError> {
        let (columns, values): (Vec<&'static str>, Vec<String>) = filter.equal.into_iter().unzip();
        let statement = statements::list(&columns, filter.limit);
        let rows = in_transaction(&self.pool, async |transaction: &Transaction<'_>| {
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            Ok(transaction.query(&statement, &values).await?)
        })
        .await?;
        let device = |row: &tokio_postgres::Row| {
            Ok(ListedDevice {
                tenant_id: row.try_get(0)?,
                device_id: row.try_get(1)?,
                site_id: row.try_get::<_, Option<String>>(2)?.unwrap_or_default(),
                status: row.try_get::<_, Option<String>>(3)?.unwrap_or_default(),
                fw_version: row.try_get(4)?,
                token_set: row.try_get(5)?,
                created_at: row.try_get::<_, Option<String>>(6)?.unwrap_or_default(),
            })
        };
        rows.iter().map(device).collect()
    }

    /// Takes a device's access away, and that of its unused codes; whether it is registered.
    pub(super) async fn revoke(&self, tenant_id: &str, device_id: &str) -> Result<(Revoked, bool), ProvisionError> {
        let is_registered = in_transaction(&self.pool, async |transaction: &Transaction<'_>| {
            let found = transaction.query_opt(statements::LOCK, &[&tenant_id, &device_id]).await?;
            transaction.execute(statements::FORGET_CODES, &[&tenant_id, &device_id]).await?;
            let Some(found) = found else { return Ok(false) };
            let token_hash: Option<String> = found.try_get(1)?;
            transaction.execute(statements::REVOKE, &[&tenant_id, &device_id]).await?;
            let history: [&(dyn ToSql + Sync); 4] = [&tenant_id, &device_id, &"REVOKED", &token_hash];
            transaction.execute(statements::RECORD, &history).await?;
            Ok(true)
        })
        .await?;
        Ok((Revoked { ok: true }, is_registered))
    }
}
