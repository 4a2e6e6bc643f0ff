//! Tokens: a device activates itself with its code, once; an administrator gives it another token.

use deadpool_postgres::{Pool, Transaction};
use slog::Logger;
use tokio::sync::Semaphore;
use tokio_postgres::types::ToSql;

use super::api::{Activated, Activation, Rotated};
use super::devices::Devices;
use super::error::ProvisionError;
use super::secrets::new_token;
use super::statements;
use super::transaction::in_transaction;
use crate::runtime::failures::Failures;
use ingest_core::message::digest::sha256_hex;
use ingest_core::provision::fields;

/// Codes that a listener looks at at once.
pub(crate) const PLACES: usize = 2;

/// What devices do without a key: several listeners may serve it, each with a limit of its own.
pub(crate) struct Activations {
    /// Connections to PostgreSQL.
    pub pool: Pool,
    /// Who has presented wrong codes.
    pub failures: Failures,
    /// Codes that are looked at: few at a time, so that nobody tries many before the first wrong one counts.
    pub places: Semaphore,
    /// Component `provision`.
    pub log: Logger,
}

impl Activations {
    /// Gives a device its token, for a code that works.
    pub(super) async fn activate(&self, activation: Activation) -> Result<Activated, ProvisionError> {
        let Activation { tenant_id, device_id, activation_code } = activation;
        fields::check_id("tenant_id", &tenant_id)?;
        fields::check_id("device_id", &device_id)?;
        let (code_hash, token) = (sha256_hex(activation_code.as_bytes()), new_token()?);
        let token_hash = sha256_hex(token.as_bytes());
        in_transaction(&self.pool, async |transaction: &Transaction<'_>| {
            let found = transaction.query_opt(statements::LOCK, &[&tenant_id, &device_id]).await?;
            let status: Option<String> = found.map(|row| row.try_get(0)).transpose()?;
            // A code that was issued before a revocation ends with it, whoever revoked the device.
            if status.is_none_or(|status| status == "REVOKED") {
                return Err(ProvisionError::CodeInvalid);
            }
            let code: [&(dyn ToSql + Sync); 3] = [&tenant_id, &device_id, &code_hash];
            if transaction.execute(statements::USE_CODE, &code).await? == 0 {
                let is_used = transaction.query_opt(statements::IS_USED, &code).await?;
                return Err(match is_used.map(|row| row.try_get(0)).transpose()? {
                    None => ProvisionError::CodeInvalid,
                    Some(true) => ProvisionError::CodeUsed,
                    Some(false) => ProvisionError::CodeExpired,
                });
            }
            transaction.execute(statements::ACTIVATE, &[&tenant_id, &device_id, &token_hash]).await?;
            let history: [&(dyn ToSql + Sync); 4] = [&tenant_id, &device_id, &"ACTIVATED", &token_hash];
            transaction.execute(statements::RECORD, &history).await?;
            Ok(())
        })
        .await?;
        Ok(Activated { tenant_id, device_id, provision_token: token })
    }
}

impl Devices {
    /// Gives a device another token; the one before is refused from then on.
    pub(super) async fn rotate_token(&self, tenant_id: String, device_id: String) -> Result<Rotated, ProvisionError> {
        let token = new_token()?;
        let token_hash = sha256_hex(token.as_bytes());
        in_transaction(&self.pool, async |transaction: &Transaction<'_>| {
            let device: [&(dyn ToSql + Sync); 3] = [&tenant_id, &device_id, &token_hash];
            if transaction.execute(statements::ROTATE, &device).await? == 0 {
                return Err(ProvisionError::UnknownDevice);
            }
            let history: [&(dyn ToSql + Sync); 4] = [&tenant_id, &device_id, &"ROTATED", &token_hash];
            transaction.execute(statements::RECORD, &history).await?;
            Ok(())
        })
        .await?;
        Ok(Rotated { tenant_id, device_id, new_provision_token: token.clone(), provision_token: token })
    }
}
