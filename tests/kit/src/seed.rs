//! Rows of the tables that other services fill: who is registered, who pays, where messages go.

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::Database;

/// A device and what belongs to it. Deserialises from the `registry` entries of the public cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The tenant it belongs to.
    pub tenant_id: String,
    /// Its name within the tenant.
    pub device_id: String,
    /// Where it stands.
    pub site_id: String,
    /// `ACTIVE`, `REVOKED` or `PENDING`.
    pub status: String,
    /// Its provision token in clear; the registry gets the SHA-256 of it, or null.
    pub token: Option<String>,
    /// The status of its own `MAIN` subscription; `None` = it has none.
    pub subscription_status: Option<String>,
    /// `device_registry.sensor_limit`; `None` = null, so that the tier decides.
    #[serde(default)]
    pub sensor_limit: Option<i32>,
    /// The default limit of the device's own tier.
    #[serde(default)]
    pub tier_sensor_limit: Option<i32>,
    /// `auto` or `manual`; `None` = the column's default.
    #[serde(default)]
    pub location_source: Option<String>,
    /// A certificate with the common name `tenant/device`.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// Metric names to be mapped: one active module each.
    #[serde(default)]
    pub metric_key_maps: Vec<Value>,
    /// What the shadow holds so far.
    #[serde(default)]
    pub device_state: Option<DeviceState>,
    /// Commands that wait for the device.
    #[serde(default)]
    pub commands: Vec<Command>,
}

impl Device {
    /// An active device on `site-1` with a token and an active subscription.
    pub fn active(tenant_id: &str, device_id: &str, token: &str) -> Self {
        Self {
            tenant_id: tenant_id.to_owned(),
            device_id: device_id.to_owned(),
            site_id: "site-1".to_owned(),
            status: "ACTIVE".to_owned(),
            token: Some(token.to_owned()),
            subscription_status: Some("ACTIVE".to_owned()),
            sensor_limit: None,
            tier_sensor_limit: None,
            location_source: None,
            certificate: None,
            metric_key_maps: Vec::new(),
            device_state: None,
            commands: Vec::new(),
        }
    }
}

/// A row of `device_certificates`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `ACTIVE`, `REVOKED` or `EXPIRED`.
    pub status: String,
    /// Days from now; negative = it has expired.
    pub expires_in_days: i32,
}

/// A row of `device_state`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// The reported document.
    pub reported_state: Value,
    /// Its version.
    pub reported_version: i32,
}

/// A row of `device_commands`, queued.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Unique within the tenant.
    pub command_id: String,
    /// For example `reboot`.
    pub command_type: String,
}

/// A row of `message_routes`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Whose messages it takes.
    pub tenant_id: String,
    /// What a person calls it.
    pub name: String,
    /// An MQTT topic filter.
    pub topic_filter: String,
    /// `webhook`, `mqtt_republish` or `postgresql`.
    pub destination_type: String,
    /// Depends on the type.
    pub destination_config: Value,
    /// Conditions on the payload; `None` = every message.
    pub payload_filter: Option<Value>,
    /// A disabled route takes nothing.
    pub is_enabled: bool,
}

/// A row of `subscriptions` without devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Whose it is.
    pub tenant_id: String,
    /// `MAIN`, `ADDON`, `TRIAL` or `TEMPORARY`.
    pub subscription_type: String,
    /// `TRIAL`, `ACTIVE`, `GRACE`, `SUSPENDED` or `EXPIRED`.
    pub status: String,
    /// Its capacity in devices.
    pub device_limit: i32,
    /// How many it has.
    pub active_device_count: i32,
}

/// Makes the platform's own tables with its indexes, checks, foreign keys, triggers and policies (`registry_full.sql`) in
/// an empty database: what a node's migrations find in the field. Tests that want them run this before `migrate`.
///
/// # Panics
/// When a statement is refused.
pub async fn platform_schema(database: &Database) {
    database.execute(include_str!("registry_full.sql")).await;
}

/// Inserts the devices with all that belongs to them, in one transaction.
///
/// # Panics
/// When a row is refused.
pub async fn devices(database: &Database, devices: &[Device]) {
    in_transaction(database, async |client: &Client| {
        // One after the other at the server, which need not wait for us between two of them.
        try_join_all(devices.iter().map(|device| insert_device(client, device))).await.map(drop)
    })
    .await;
}

/// Inserts routes.
///
/// # Panics
/// As [`devices`].
pub async fn routes(database: &Database, routes: &[Route]) {
    const SQL: &str = "INSERT INTO message_routes
        (tenant_id, name, topic_filter, destination_type, destination_config, payload_filter, is_enabled)
        VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, $7)";
    in_transaction(database, async |client: &Client| {
        for route in routes {
            let config = route.destination_config.to_string();
            let filter = route.payload_filter.as_ref().map(Value::to_string);
            client
                .execute(
                    SQL,
                    &[
                        &route.tenant_id,
                        &route.name,
                        &route.topic_filter,
                        &route.destination_type,
                        &config,
                        &filter,
                        &route.is_enabled,
                    ],
                )
                .await?;
        }
        Ok(())
    })
    .await;
}

/// Inserts subscriptions that no device has yet.
///
/// # Panics
/// As [`devices`].
pub async fn subscriptions(database: &Database, subscriptions: &[Subscription]) {
    in_transaction(database, async |client: &Client| {
        for (number, subscription) in subscriptions.iter().enumerate() {
            let id = format!("sub-{}-{}-{number}", subscription.tenant_id, subscription.subscription_type);
            insert_subscription(client, &id, subscription).await?;
        }
        Ok(())
    })
    .await;
}

/// Sets rows of `app_settings`, all at once.
///
/// # Panics
/// As [`devices`].
pub async fn app_settings(database: &Database, settings: &[(&str, &str)]) {
    const SQL: &str = "INSERT INTO app_settings (key, value) VALUES ($1, $2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()";
    in_transaction(database, async |client: &Client| {
        for (key, value) in settings {
            client.execute(SQL, &[key, value]).await?;
        }
        Ok(())
    })
    .await;
}

/// The registry's form of a provision token: SHA-256 of its text, in lower-case hex.
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn in_transaction(database: &Database, insert: impl AsyncFnOnce(&Client) -> Result<(), tokio_postgres::Error>) {
    let client = database.connect().await;
    let run = async {
        client.batch_execute("BEGIN").await?;
        insert(&client).await?;
        client.batch_execute("COMMIT").await
    };
    run.await.unwrap_or_else(|e| panic!("cannot seed: {e:?}"));
}

async fn insert_device(client: &Client, device: &Device) -> Result<(), tokio_postgres::Error> {
    let (tenant, id) = (&device.tenant_id, &device.device_id);
    let key = format!("{tenant}/{id}");

    let subscription_id = device.subscription_status.as_ref().map(|_| format!("sub-{key}"));
    if let (Some(subscription_id), Some(status)) = (&subscription_id, &device.subscription_status) {
        let subscription = Subscription {
            tenant_id: tenant.clone(),
            subscription_type: "MAIN".to_owned(),
            status: status.clone(),
            device_limit: 1,
            active_device_count: 1,
        };
        insert_subscription(client, subscription_id, &subscription).await?;
    }

    let mut tier_id: Option<i32> = None;
    if let Some(limit) = device.tier_sensor_limit {
        const SQL: &str =
            "INSERT INTO device_tiers (name, default_sensor_limit) VALUES ($1, $2) RETURNING tier_id::int";
        tier_id = Some(client.query_one(SQL, &[&format!("tier-{key}"), &limit]).await?.get(0));
    }

    const SQL: &str =
        "INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id,
        sensor_limit, tier_id, location_source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::int, coalesce($9, 'auto'))";
    client
        .execute(
            SQL,
            &[
                tenant,
                id,
                &device.site_id,
                &device.status,
                &device.token.as_deref().map(token_hash),
                &subscription_id,
                &device.sensor_limit,
                &tier_id,
                &device.location_source,
            ],
        )
        .await?;

    if let Some(certificate) = &device.certificate {
        const SQL: &str = "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, common_name,
            issuer, serial_number, status, not_before, not_after)
            VALUES ($1, $2, 'none', $3, $4, 'kit', $3, $5, now() - interval '100 days', now() + make_interval(days => $6))";
        let fingerprint = token_hash(&key);
        client
            .execute(SQL, &[tenant, id, &fingerprint, &key, &certificate.status, &certificate.expires_in_days])
            .await?;
    }
    for (number, map) in device.metric_key_maps.iter().enumerate() {
        const SQL: &str = "INSERT INTO device_modules (tenant_id, device_id, slot_key, metric_key_map, status)
            VALUES ($1, $2, $3, $4::text::jsonb, 'active')";
        client.execute(SQL, &[tenant, id, &format!("slot-{number}"), &map.to_string()]).await?;
    }
    if let Some(state) = &device.device_state {
        const SQL: &str = "INSERT INTO device_state (tenant_id, device_id, site_id, reported_state, reported_version)
            VALUES ($1, $2, $3, $4::text::jsonb, $5::int)";
        let reported = state.reported_state.to_string();
        client.execute(SQL, &[tenant, id, &device.site_id, &reported, &state.reported_version]).await?;
    }
    for command in &device.commands {
        const SQL: &str =
            "INSERT INTO device_commands (tenant_id, command_id, device_id, command_type, command_params, status)
            VALUES ($1, $2, $3, $4, '{}'::jsonb, 'queued')";
        client.execute(SQL, &[tenant, &command.command_id, id, &command.command_type]).await?;
    }
    Ok(())
}

async fn insert_subscription(client: &Client, id: &str, of: &Subscription) -> Result<(), tokio_postgres::Error> {
    const SQL: &str = "INSERT INTO subscriptions (subscription_id, tenant_id, subscription_type, device_limit,
        active_device_count, term_start, term_end, status)
        VALUES ($1, $2, $3, $4, $5, now() - interval '30 days', now() + interval '335 days', $6)";
    client
        .execute(
            SQL,
            &[&id, &of.tenant_id, &of.subscription_type, &of.device_limit, &of.active_device_count, &of.status],
        )
        .await?;
    Ok(())
}

/// A route that takes everything of a tenant to a webhook.
pub fn catch_all_route(tenant_id: &str) -> Route {
    Route {
        tenant_id: tenant_id.to_owned(),
        name: "everything".to_owned(),
        topic_filter: "#".to_owned(),
        destination_type: "webhook".to_owned(),
        destination_config: Value::Object(Map::new()),
        payload_filter: None,
        is_enabled: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hashed_as_its_text() {
        assert_eq!(token_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
