//! One batched look-up: devices with everything that validation needs of them, and the routes of their tenants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use crate::core::device::{Device, DeviceKey, Subscription, TokenHash};
use crate::core::metric_keys::MetricKeyMap;
use crate::core::route::{self, BadRoute, Route, TenantRoutes};

/// Registry row, subscription, tier, certificate and key maps of many devices at once. Ids of other services' tables are
/// compared as text: their types differ between the platform's versions.
const DEVICES: &str = "
SELECT r.tenant_id, r.device_id, r.site_id, r.status, r.provision_token_hash, s.status AS subscription_status,
       coalesce(r.location_source, 'auto') = 'auto' AS location_is_auto,
       coalesce(r.sensor_limit, t.default_sensor_limit, 20)::int AS sensor_limit,
       c.until_us, m.maps
FROM unnest($1::text[], $2::text[]) AS k (tenant_id, device_id)
JOIN device_registry r ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id
LEFT JOIN subscriptions s ON s.subscription_id::text = r.subscription_id::text
LEFT JOIN device_tiers t ON t.tier_id::text = r.tier_id::text
LEFT JOIN LATERAL (
    -- Neither 'infinity' nor null has a number of microseconds.
    SELECT (extract(epoch FROM max(least(not_after, timestamptz '9999-12-31'))) * 1000000)::bigint AS until_us
    FROM device_certificates
    WHERE tenant_id = k.tenant_id AND device_id = k.device_id AND status = 'ACTIVE'
      AND common_name = k.tenant_id || '/' || k.device_id AND not_after IS NOT NULL
) c ON true
LEFT JOIN LATERAL (
    SELECT array_agg(metric_key_map::text ORDER BY id) AS maps
    FROM device_modules
    WHERE tenant_id = k.tenant_id AND device_id = k.device_id AND status = 'active'
) m ON true";

/// Routes by tenant.
pub type Routes = HashMap<Arc<str>, TenantRoutes>;

/// Looks devices up; those that are not in the answer are not registered.
///
/// # Errors
/// What the driver says.
pub async fn devices(client: &Client, keys: &[DeviceKey]) -> Result<HashMap<DeviceKey, Arc<Device>>, Error> {
    let tenants: Vec<&str> = keys.iter().map(|key| &*key.tenant_id).collect();
    let ids: Vec<&str> = keys.iter().map(|key| &*key.device_id).collect();
    let statement = client.prepare_cached(DEVICES).await?;
    let rows = client.query(&statement, &[&tenants, &ids]).await?;
    rows.iter().map(|row| device(row).map(|device| (device.key.clone(), Arc::new(device)))).collect()
}

fn device(row: &Row) -> Result<Device, Error> {
    let maps: Option<Vec<String>> = row.try_get("maps")?;
    let sensor_limit: i32 = row.try_get("sensor_limit")?;
    Ok(Device {
        key: DeviceKey::new(row.try_get("tenant_id")?, row.try_get("device_id")?),
        site_id: row.try_get("site_id")?,
        active: row.try_get::<_, Option<&str>>("status")? == Some("ACTIVE"),
        subscription: Subscription::from_status(row.try_get("subscription_status")?),
        token_hash: row.try_get::<_, Option<&str>>("provision_token_hash")?.and_then(TokenHash::from_hex),
        certificate_until_us: row.try_get("until_us")?,
        metric_keys: MetricKeyMap::from_maps(maps.iter().flatten().map(String::as_str)),
        location_is_auto: row.try_get("location_is_auto")?,
        sensor_limit: sensor_limit.max(0) as u32,
    })
}

const ROUTES: &str = "
SELECT id::text, tenant_id, topic_filter::text, destination_type::text, destination_config::text, payload_filter::text
FROM message_routes WHERE is_enabled AND tenant_id = ANY($1) ORDER BY tenant_id, id";

/// The enabled routes of these devices' tenants, every tenant with an entry, and the rows that make no route.
///
/// # Errors
/// What the driver says.
pub async fn routes(client: &Client, keys: &[DeviceKey]) -> Result<(Routes, Vec<BadRoute>), Error> {
    let tenants: HashSet<Arc<str>> = keys.iter().map(|key| key.tenant_id.clone()).collect();
    let names: Vec<&str> = tenants.iter().map(|tenant| &**tenant).collect();
    let statement = client.prepare_cached(ROUTES).await?;
    let (mut routes, mut bad) = (HashMap::<&str, Vec<Route>>::new(), Vec::new());
    let rows = client.query(&statement, &[&names]).await?;
    for row in &rows {
        let parsed = Route::from_row(route::Row {
            id: row.try_get(0)?,
            topic_filter: row.try_get(2)?,
            destination_type: row.try_get(3)?,
            destination_config: row.try_get(4)?,
            payload_filter: row.try_get(5)?,
        });
        match parsed {
            Ok(route) => routes.entry(row.try_get(1)?).or_default().push(route),
            Err(why) => bad.push(why),
        }
    }
    let of_tenant = |tenant: Arc<str>| {
        let routes = routes.remove(&*tenant).unwrap_or_default();
        (tenant, TenantRoutes::from(routes))
    };
    Ok((tenants.iter().cloned().map(of_tenant).collect(), bad))
}
