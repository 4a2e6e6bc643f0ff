//! The devices and their subscriptions by SQL, in few statements.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::{SimDevice, Tokens};
use crate::postgres::{self, start};
use crate::runtime::error_chain::error_chain;
use ingest_core::message::digest::sha256_hex;

/// Devices per statement: enough to make round trips vanish, little enough to keep a statement small.
const CHUNK: usize = 10_000;

/// Opens a connection.
pub(crate) async fn connect(config: &postgres::Config) -> Result<Client, SimulateError> {
    let opened = start::open(config).await;
    let (_, client) = opened.map_err(|error| SimulateError::Unavailable(error_chain(&error)))?;
    Ok(client)
}

/// Makes or corrects the devices and their subscriptions; what is right already stays untouched.
pub(crate) async fn registry(database: &Client, devices: Vec<SimDevice>) -> Result<(), SimulateError> {
    let subscriptions: BTreeSet<_> =
        devices.iter().map(|device| (device.subscription_id(), &device.tenant_id, device.subscription)).collect();
    let ids: Vec<_> = subscriptions.iter().map(|(id, ..)| id).collect();
    let tenants: Vec<_> = subscriptions.iter().map(|(_, tenant, _)| tenant).collect();
    let statuses: Vec<_> = subscriptions.iter().map(|(.., status)| status).collect();
    database
        .execute(
            "INSERT INTO subscriptions AS s (subscription_id, tenant_id, status, subscription_type, device_limit)
             SELECT id, tenant, status, 'MAIN', 1000000 FROM unnest($1::text[], $2::text[], $3::text[]) AS new (id, tenant, status)
             ON CONFLICT (subscription_id) DO UPDATE SET status = excluded.status WHERE s.status <> excluded.status",
            &[&ids, &tenants, &statuses],
        )
        .await
        .map_err(|error| unavailable(&error))?;

    for chunk in devices.chunks(CHUNK) {
        let column = |value: fn(&SimDevice) -> String| chunk.iter().map(value).collect::<Vec<_>>();
        let hashes: Vec<_> = chunk
            .iter()
            .map(|device| device.has_token.then(|| sha256_hex(Tokens::Derived.of(device).as_bytes())))
            .collect();
        let statuses: Vec<_> = chunk.iter().map(|device| device.status).collect();
        database
            .execute(
                "INSERT INTO device_registry AS d (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                 ON CONFLICT (tenant_id, device_id) DO UPDATE
                 SET site_id = excluded.site_id, status = excluded.status,
                     provision_token_hash = excluded.provision_token_hash, subscription_id = excluded.subscription_id
                 WHERE (d.site_id, d.status, d.provision_token_hash, d.subscription_id) IS DISTINCT FROM
                       (excluded.site_id, excluded.status, excluded.provision_token_hash, excluded.subscription_id)",
                &[
                    &column(|device| device.tenant_id.clone()),
                    &column(|device| device.device_id.clone()),
                    &column(|device| device.site_id.clone()),
                    &statuses,
                    &hashes,
                    &column(SimDevice::subscription_id),
                ],
            )
            .await
            .map_err(|error| unavailable(&error))?;
    }
    Ok(())
}

/// What `RATE_LIMIT_RPS` was before it was lifted; `None` where it had no row.
#[derive(Debug)]
pub(crate) struct Lifted(Option<String>);

/// No device is limited any more; running nodes hear of it at once.
pub(crate) async fn lift_rate_limit(database: &Client) -> Result<Lifted, SimulateError> {
    const SELECT: &str = "SELECT value FROM app_settings WHERE key = 'RATE_LIMIT_RPS'";
    const UPSERT: &str = "INSERT INTO app_settings AS s (key, value) VALUES ('RATE_LIMIT_RPS', '0')
                  ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() WHERE s.value <> excluded.value";
    let before = database.query_opt(SELECT, &[]).await.map_err(|error| unavailable(&error))?;
    database.execute(UPSERT, &[]).await.map_err(|error| unavailable(&error))?;
    Ok(Lifted(before.and_then(|row| row.get(0))))
}

/// Puts the rate limit back, unless somebody else has changed it since.
pub(crate) async fn restore_rate_limit(database: &Client, lifted: &Lifted) -> Result<(), SimulateError> {
    const RESTORE: &str = "UPDATE app_settings SET value = $1, updated_at = now() WHERE key = 'RATE_LIMIT_RPS' AND value = '0' AND $1 <> '0'";
    const REMOVE: &str = "DELETE FROM app_settings WHERE key = 'RATE_LIMIT_RPS' AND value = '0'";
    let restored = match &lifted.0 {
        Some(value) => database.execute(RESTORE, &[value]).await,
        None => database.execute(REMOVE, &[]).await,
    };
    restored.map(drop).map_err(|error| {
        SimulateError::Unavailable(format!(
            "RATE_LIMIT_RPS is still 0 in app_settings and could not be put back to {}: {}",
            lifted.0.as_deref().unwrap_or("its default"),
            error_chain(&error)
        ))
    })
}

fn unavailable(error: &tokio_postgres::Error) -> SimulateError {
    if matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN)) {
        return SimulateError::Unavailable("the schema is not there yet: run `ingest-node migrate` first".into());
    }
    SimulateError::Unavailable(format!("PostgreSQL: {}", error_chain(error)))
}
