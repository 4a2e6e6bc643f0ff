//! The statements of the derived state, each for many devices at once.
//!
//! Newest wins in all of them, by the times that are stored, so that replicas may write in any order; and all lock
//! their rows in the order of their keys, so that replicas wait for each other and never lock each other out.
//!
//! A stored time that lies ahead is none of these rules' (`ingest_core::message::observed_time` lets five minutes in; as much again is for
//! the servers' clocks): an earlier node wrote it, or another clock. It counts as older than any, or it would stand for ever.

use std::borrow::Cow;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Error;

use crate::postgres::types::UnixMicros;
use ingest_core::message::device::{Device, DeviceKey};
use ingest_core::state::observation::{Location, Observation, Reading};
use ingest_core::state::sensor::{self, Inferred, LastValue};

/// How far a stored time may lie ahead, in microseconds.
pub(super) const AHEAD_US: i64 = 10 * 60 * 1_000_000;

/// The newest value of a sensor that exists, or may.
#[derive(Clone, Debug)]
pub(super) struct SensorRow<'a> {
    device: &'a Device,
    metric: Cow<'a, str>,
    reading: Reading<'a>,
}

impl<'a> SensorRow<'a> {
    /// The sensors that an observation speaks of, in the order in which they get room.
    pub(super) fn of(observation: &'a Observation) -> impl Iterator<Item = SensorRow<'a>> {
        let device = &*observation.device;
        observation.readings().into_iter().map(move |(metric, reading)| SensorRow { device, metric, reading })
    }
}

/// Where devices are, unless somebody has placed them by hand. Nodes need not be told of it.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn positions(client: &mut ClientWrapper, located: &[(&Device, Location)]) -> Result<(), Error> {
    const SQL: &str = "
        WITH moved AS MATERIALIZED (
            SELECT r.tenant_id, r.device_id, v.latitude, v.longitude, v.located_at
            FROM device_registry r
            JOIN unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::timestamptz[])
                AS v (tenant_id, device_id, latitude, longitude, located_at) USING (tenant_id, device_id)
            WHERE (r.location_source = 'auto' OR r.location_source IS NULL)
                AND (r.located_at IS NULL OR r.located_at <= v.located_at
                    OR r.located_at > now() + interval '10 minutes')
            ORDER BY r.tenant_id, r.device_id
            FOR NO KEY UPDATE OF r
        )
        UPDATE device_registry r
        SET latitude = moved.latitude, longitude = moved.longitude, located_at = moved.located_at
        FROM moved WHERE r.tenant_id = moved.tenant_id AND r.device_id = moved.device_id";

    let (tenants, devices) = keys(located.iter().map(|(device, _)| &device.key));
    let latitudes: Vec<f64> = located.iter().map(|(_, location)| location.latitude).collect();
    let longitudes: Vec<f64> = located.iter().map(|(_, location)| location.longitude).collect();
    let times: Vec<UnixMicros> = located.iter().map(|(_, location)| UnixMicros(location.event_us)).collect();
    let transaction = client.transaction().await?;
    // For this transaction the triggers that tell every node of changed devices stay silent.
    transaction.batch_execute("SET LOCAL ingest_node.quiet = on").await?;
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&tenants, &devices, &latitudes, &longitudes, &times]).await?;
    transaction.commit().await
}

/// Sensors that do not exist yet, in their order as far as their devices' limits leave room; values come later.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn discover(client: &mut ClientWrapper, candidates: &[SensorRow<'_>]) -> Result<(), Error> {
    let missing = missing(client, candidates).await?;
    if missing.is_empty() {
        return Ok(());
    }
    const LOCK: &str = "
        SELECT FROM device_registry r
        WHERE (r.tenant_id, r.device_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY r.tenant_id, r.device_id
        FOR NO KEY UPDATE OF r";
    const INSERT: &str = "
        WITH candidate AS (
            SELECT c.*, row_number() OVER (PARTITION BY c.tenant_id, c.device_id ORDER BY c.place) AS nth
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                WITH ORDINALITY AS c (tenant_id, device_id, metric_key, display_name, unit, sensor_limit, place)
            JOIN device_registry r ON r.tenant_id = c.tenant_id AND r.device_id = c.device_id
            WHERE NOT EXISTS (
                SELECT FROM device_sensors s
                WHERE s.tenant_id = c.tenant_id AND s.device_id = c.device_id AND s.metric_key = c.metric_key)
        ), taken AS (
            SELECT s.tenant_id, s.device_id, count(*) AS sensors FROM device_sensors s
            WHERE (s.tenant_id, s.device_id) IN (SELECT tenant_id, device_id FROM candidate)
            GROUP BY s.tenant_id, s.device_id
        )
        INSERT INTO device_sensors (tenant_id, device_id, metric_key, display_name, unit, source)
        SELECT tenant_id, device_id, metric_key, display_name, unit, $7
        FROM candidate c LEFT JOIN taken USING (tenant_id, device_id)
        WHERE c.nth + coalesce(taken.sensors, 0) <= c.sensor_limit
        ORDER BY tenant_id, device_id, metric_key
        ON CONFLICT DO NOTHING";

    let (tenants, devices) = keys(missing.iter().map(|row| &row.device.key));
    let metrics: Vec<&str> = missing.iter().map(|row| &*row.metric).collect();
    let inferred: Vec<Inferred> = missing.iter().map(|row| sensor::infer(&row.metric)).collect();
    let names: Vec<&str> = inferred.iter().map(|sensor| sensor.display_name.as_str()).collect();
    let units: Vec<Option<&str>> = inferred.iter().map(|sensor| sensor.unit).collect();
    let limits: Vec<i64> = missing.iter().map(|row| i64::from(row.device.sensor_limit)).collect();

    let transaction = client.transaction().await?;
    // Whoever else finds sensors of the same devices counts them only after our commit.
    let lock = transaction.prepare_cached(LOCK).await?;
    transaction.execute(&lock, &[&tenants, &devices]).await?;
    let insert = transaction.prepare_cached(INSERT).await?;
    transaction.execute(&insert, &[&tenants, &devices, &metrics, &names, &units, &limits, &sensor::SOURCE]).await?;
    transaction.commit().await
}

/// Those of the candidates that have no row, on devices that have room: looking for them locks nothing.
async fn missing<'a, 'b>(
    client: &ClientWrapper,
    candidates: &'a [SensorRow<'b>],
) -> Result<Vec<&'a SensorRow<'b>>, Error> {
    const SQL: &str = "
        SELECT c.place FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
            WITH ORDINALITY AS c (tenant_id, device_id, metric_key, sensor_limit, place)
        WHERE NOT EXISTS (
                SELECT FROM device_sensors s
                WHERE s.tenant_id = c.tenant_id AND s.device_id = c.device_id AND s.metric_key = c.metric_key)
            AND c.sensor_limit > (
                SELECT count(*) FROM device_sensors s WHERE s.tenant_id = c.tenant_id AND s.device_id = c.device_id)
        ORDER BY c.place";

    let (tenants, devices) = keys(candidates.iter().map(|row| &row.device.key));
    let metrics: Vec<&str> = candidates.iter().map(|row| &*row.metric).collect();
    let limits: Vec<i64> = candidates.iter().map(|row| i64::from(row.device.sensor_limit)).collect();
    let statement = client.prepare_cached(SQL).await?;
    let places = client.query(&statement, &[&tenants, &devices, &metrics, &limits]).await?;
    Ok(places.iter().filter_map(|row| candidates.get((row.get::<_, i64>(0) - 1) as usize)).collect())
}

/// The last values of those sensors that exist.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one.
pub(super) async fn last_values(client: &ClientWrapper, rows: &[SensorRow<'_>]) -> Result<(), Error> {
    const SQL: &str = "
        WITH newer AS MATERIALIZED (
            SELECT s.id, v.number, v.text, v.seen_at
            FROM device_sensors s
            JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
                AS v (tenant_id, device_id, metric_key, number, text, seen_at) USING (tenant_id, device_id, metric_key)
            WHERE s.last_seen_at IS NULL OR s.last_seen_at <= v.seen_at
                OR s.last_seen_at > now() + interval '10 minutes'
            ORDER BY s.tenant_id, s.device_id, s.metric_key
            FOR NO KEY UPDATE OF s
        )
        UPDATE device_sensors s
        SET last_value = newer.number::numeric, last_value_text = newer.text, last_seen_at = newer.seen_at,
            updated_at = now()
        FROM newer WHERE s.id = newer.id";

    let (tenants, devices) = keys(rows.iter().map(|row| &row.device.key));
    let metrics: Vec<&str> = rows.iter().map(|row| &*row.metric).collect();
    let values: Vec<LastValue<'_>> = rows.iter().map(|row| LastValue::from_json(row.reading.json)).collect();
    let numbers: Vec<Option<&str>> = values.iter().map(number).collect();
    let texts: Vec<Option<&str>> = values.iter().map(text).collect();
    let times: Vec<UnixMicros> = rows.iter().map(|row| UnixMicros(row.reading.event_us)).collect();
    let statement = client.prepare_cached(SQL).await?;
    client.execute(&statement, &[&tenants, &devices, &metrics, &numbers, &texts, &times]).await.map(drop)
}

fn number<'a>(value: &'a LastValue<'_>) -> Option<&'a str> {
    match value {
        LastValue::Number(number) => Some(number),
        LastValue::Text(_) => None,
    }
}

fn text<'a>(value: &'a LastValue<'_>) -> Option<&'a str> {
    match value {
        LastValue::Number(_) => None,
        LastValue::Text(text) => Some(text),
    }
}

pub(super) fn keys<'a>(keys: impl Iterator<Item = &'a DeviceKey>) -> (Vec<&'a str>, Vec<&'a str>) {
    keys.map(|key| (&*key.tenant_id, &*key.device_id)).unzip()
}
