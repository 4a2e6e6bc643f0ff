//! One batched look-up: devices with everything that validation needs of them, their tenants' standing and routes.

use std::collections::HashSet;
use std::sync::Arc;

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use super::bisect::{Isolated, ask_bisecting};
use super::error::RegistryError;
use super::query::read;
use super::routes::RouteRows;
use ingest_core::message::device::{Device, DeviceKey, Lookup, Subscription, TokenHash, ValidityPeriod};
use ingest_core::message::metric_keys::MetricKeyMap;

/// Registry row, subscription, tier, certificates and key maps of many devices at once.
///
/// Other services own these tables, and their types differ between the platform's versions: ids are compared and texts
/// are read as text, numbers and times are brought into range before they are converted, and what is too large to be
/// meant is left out, so that hardly any row can fail. What fails all the same is found by bisection.
const DEVICES: &str = "
SELECT k.n, r.site_id::text AS site_id, r.status::text AS status, r.provision_token_hash::text AS token_hash,
       s.status::text AS subscription_status,
       coalesce(r.location_source::text, 'auto') = 'auto' AS location_is_auto,
       least(greatest(coalesce(r.sensor_limit, t.default_sensor_limit, 20)::numeric, 0), 2147483647)::int AS sensor_limit,
       c.from_us, c.until_us, m.maps
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (tenant_id, device_id, n)
JOIN device_registry r ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id
LEFT JOIN subscriptions s ON s.subscription_id::text = r.subscription_id::text
LEFT JOIN device_tiers t ON t.tier_id::text = r.tier_id::text
LEFT JOIN LATERAL (
    -- Neither 'infinity' nor null has a number of microseconds.
    SELECT array_agg((extract(epoch FROM least(greatest(valid_from, '1970-01-01 00:00+00'), '9999-12-31 00:00+00'))
                      * 1000000)::bigint) AS from_us,
           array_agg((extract(epoch FROM least(greatest(not_after, '1970-01-01 00:00+00'), '9999-12-31 00:00+00'))
                      * 1000000)::bigint) AS until_us
    FROM (
        SELECT coalesce(not_before, '-infinity')::timestamptz AS valid_from, not_after::timestamptz AS not_after
        FROM device_certificates
        WHERE tenant_id = k.tenant_id AND device_id = k.device_id AND status::text = 'ACTIVE'
          AND common_name::text = k.tenant_id || '/' || k.device_id
          AND not_after IS NOT NULL AND revoked_at IS NULL
        ORDER BY not_after DESC LIMIT 16
    ) valid
) c ON true
LEFT JOIN LATERAL (
    SELECT array_agg(map ORDER BY id) AS maps
    FROM (
        SELECT id, metric_key_map::text AS map, sum(octet_length(metric_key_map::text)) OVER (ORDER BY id) AS bytes
        FROM device_modules
        WHERE tenant_id = k.tenant_id AND device_id = k.device_id AND status::text = 'active'
          AND octet_length(metric_key_map::text) <= 65536
    ) active
    WHERE bytes <= 1048576
) m ON true";

/// Which of these tenants have a registered device.
const TENANTS: &str = "
SELECT k.n FROM unnest($1::text[]) WITH ORDINALITY AS k (tenant_id, n)
WHERE EXISTS (SELECT FROM device_registry r WHERE r.tenant_id = k.tenant_id)";

/// The first enabled routes of these tenants, one more than are wanted of each: so that it shows where there are more. Of one tenant no
/// more than shows that there are too many bytes (`routes.rs`, `MOST_BYTES`).
const ROUTES: &str = "
SELECT k.n, r.id::text, r.topic_filter::text, r.destination_type::text,
       CASE WHEN octet_length(r.destination_config::text) <= 65536 THEN r.destination_config::text
            WHEN r.destination_config IS NOT NULL THEN 'too large' END,
       CASE WHEN octet_length(r.payload_filter::text) <= 65536 THEN r.payload_filter::text
            WHEN r.payload_filter IS NOT NULL THEN 'too large' END
FROM unnest($1::text[]) WITH ORDINALITY AS k (tenant_id, n)
CROSS JOIN LATERAL (
    SELECT first.*, sum(
            least(coalesce(octet_length(destination_config::text), 0), 65536) + least(coalesce(octet_length(payload_filter::text), 0), 65536)
            + coalesce(octet_length(topic_filter::text), 0)
        ) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM (
        SELECT * FROM message_routes WHERE is_enabled AND tenant_id = k.tenant_id ORDER BY id LIMIT $2::bigint + 1
    ) first
) r
WHERE coalesce(r.bytes_before, 0) <= 4194304
ORDER BY k.n, r.id";

/// What became of a look-up's keys. What is in no list is not registered.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Registered, or as good as unknown.
    pub known: Vec<(DeviceKey, Lookup)>,
    /// Those that are invalid, with the reason, for the log.
    pub invalid: Vec<(DeviceKey, String)>,
}

/// Looks devices up.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn devices(client: &Client, keys: &[DeviceKey]) -> Result<Devices, RegistryError> {
    let Isolated { answers, refused } = ask_bisecting(keys, async |keys| {
        let tenants: Vec<&str> = keys.iter().map(|key| &*key.tenant_id).collect();
        let ids: Vec<&str> = keys.iter().map(|key| &*key.device_id).collect();
        let rows = read(client, DEVICES, &[&tenants, &ids]).await?;
        Ok(rows.iter().filter_map(|row| nth(keys, row).map(|key| (key.clone(), device(key, row)))).collect())
    })
    .await?;
    let mut devices = Devices::default();
    for (key, device) in answers {
        match device {
            Ok(device) => devices.known.push((key, Lookup::Found(Arc::new(device)))),
            Err(error) => devices.refuse(key, format!("its row can't be read: {error}")),
        }
    }
    refused.into_iter().for_each(|(key, why)| devices.refuse(key.clone(), why));
    Ok(devices)
}

impl Devices {
    fn refuse(&mut self, key: DeviceKey, why: String) {
        self.known.push((key.clone(), Lookup::Invalid(why.as_str().into())));
        self.invalid.push((key, why));
    }
}

/// The key that a row is the answer to.
fn nth<'k, K>(keys: &'k [K], row: &Row) -> Option<&'k K> {
    let place = row.try_get::<_, i64>(0).ok()?.checked_sub(1)?;
    keys.get(usize::try_from(place).ok()?)
}

fn device(key: &DeviceKey, row: &Row) -> Result<Device, Error> {
    let maps: Option<Vec<Option<String>>> = row.try_get("maps")?;
    Ok(Device {
        key: key.clone(),
        // A site that is null is nobody's claim: every message is a mismatch, as it should be.
        site_id: row.try_get::<_, Option<String>>("site_id")?.unwrap_or_default(),
        active: row.try_get::<_, Option<&str>>("status")? == Some("ACTIVE"),
        subscription: Subscription::from_status(row.try_get("subscription_status")?),
        token_hash: row.try_get::<_, Option<&str>>("token_hash")?.and_then(TokenHash::from_hex),
        certificates: certificates(row.try_get("from_us")?, row.try_get("until_us")?),
        metric_keys: MetricKeyMap::from_maps(maps.iter().flatten().flatten().map(String::as_str)),
        location_is_auto: row.try_get::<_, Option<bool>>("location_is_auto")?.unwrap_or_default(),
        sensor_limit: row.try_get::<_, i32>("sensor_limit")?.max(0) as u32,
    })
}

fn certificates(from_us: Option<Vec<i64>>, until_us: Option<Vec<i64>>) -> Vec<ValidityPeriod> {
    let periods = from_us.into_iter().flatten().zip(until_us.into_iter().flatten());
    periods.map(|(from_us, until_us)| ValidityPeriod { from_us, until_us }).collect()
}

/// Which of these tenants have a registered device. One that can't be asked about has none.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn registered(client: &Client, tenants: &[Arc<str>]) -> Result<HashSet<Arc<str>>, RegistryError> {
    let isolated = ask_bisecting(tenants, async |tenants| {
        let names: Vec<&str> = tenants.iter().map(|tenant| &**tenant).collect();
        let rows = read(client, TENANTS, &[&names]).await?;
        Ok(rows.iter().filter_map(|row| nth(tenants, row).cloned()).collect())
    })
    .await?;
    Ok(isolated.answers.into_iter().collect())
}

/// The enabled routes of these tenants, at most `most` of each and one more; an entry for every tenant. One whose routes
/// can't be read has none.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn routes(
    client: &Client,
    tenants: &[Arc<str>],
    most: usize,
) -> Result<Vec<RouteRows>, RegistryError> {
    let Isolated { answers, refused } = ask_bisecting(tenants, async |tenants| {
        let names: Vec<&str> = tenants.iter().map(|tenant| &**tenant).collect();
        let rows = read(client, ROUTES, &[&names, &(most as i64)]).await?;
        let mut of_tenants: Vec<RouteRows> = tenants.iter().cloned().map(RouteRows::of).collect();
        for row in rows {
            let place = row.try_get::<_, i64>(0).ok().and_then(|place| usize::try_from(place - 1).ok());
            if let Some(of_tenant) = place.and_then(|place| of_tenants.get_mut(place)) {
                of_tenant.rows.push(row);
            }
        }
        Ok(of_tenants)
    })
    .await?;
    let unreadable = refused.into_iter().map(|(tenant, why)| RouteRows::unreadable(tenant.clone(), why));
    Ok(answers.into_iter().chain(unreadable).collect())
}
