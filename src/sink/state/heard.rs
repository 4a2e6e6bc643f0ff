//! When devices were heard, and with which numbers: read, merged and written under a lock of each device's row, so that
//! replicas that have heard of the same device add to each other.

use std::collections::HashMap;

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::record;
use super::statement::keys;
use crate::postgres::types::UnixMicros;
use ingest_core::message::device::DeviceKey;
use ingest_core::state::continuity::{Continuity, Found, Heard, Rules};
use ingest_core::state::observation::Observation;

/// What was heard of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub key: &'a DeviceKey,
    pub site_id: &'a str,
    /// The broker's time of its latest message, Unix microseconds.
    pub seen_us: i64,
    /// The same for heartbeats.
    pub heartbeat_us: Option<i64>,
    /// The same for telemetry.
    pub telemetry_us: Option<i64>,
    /// The numbers of its messages.
    pub heard: &'a Heard,
}

impl<'a> Row<'a> {
    /// What an observation says.
    pub(super) fn of(observation: &'a Observation) -> Self {
        let Observation { device, seen_us, heartbeat_us, telemetry_us, heard, .. } = observation;
        let (seen_us, heartbeat_us, telemetry_us) = (*seen_us, *heartbeat_us, *telemetry_us);
        Self { key: &device.key, site_id: &device.site_id, seen_us, heartbeat_us, telemetry_us, heard }
    }
}

/// What is on record of devices.
type Known = HashMap<DeviceKey, Continuity>;

/// What was found of a device, and how many of its numbers are missing now.
pub(super) type FoundOf<'a> = (&'a DeviceKey, Found, u64);

/// Writes when devices were last heard of, and what their messages' numbers show; what that is, device by device. Rows are
/// made where they are missing, but never for a device that is gone meanwhile.
///
/// # Errors
/// When PostgreSQL does not answer or refuses one: then nothing is written.
pub(super) async fn write<'a>(
    client: &mut ClientWrapper,
    rows: &[Row<'a>],
    rules: &Rules,
) -> Result<Vec<FoundOf<'a>>, Error> {
    let mut transaction = client.transaction().await?;
    let (mut known, mut now_us) = read(&transaction, rows).await?;
    if rows.iter().any(|one| !known.contains_key(one.key)) {
        // Not within the transaction: what it has locked is behind rows that are made now, and replicas would lock each
        // other out.
        transaction.rollback().await?;
        make_rows(client, rows.iter().filter(|one| !known.contains_key(one.key))).await?;
        transaction = client.transaction().await?;
        (known, now_us) = read(&transaction, rows).await?;
    }
    let mut found = Vec::new();
    let mut heard = Vec::new();
    for row in rows {
        if let Some(mut continuity) = known.remove(row.key) {
            let of_device = continuity.hear(row.heard, now_us, rules);
            found.push((row.key, of_device, u64::try_from(continuity.numbering.missing).unwrap_or_default()));
            heard.push((*row, continuity));
        }
    }
    update(&transaction, &heard).await?;
    transaction.commit().await?;
    Ok(found)
}

/// What is on record, locked in the order of the keys; and the server's time.
async fn read(transaction: &Transaction<'_>, rows: &[Row<'_>]) -> Result<(Known, i64), Error> {
    let sql = format!(
        "SELECT s.tenant_id::text, s.device_id::text, clock_timestamp(), {}
        FROM device_state s
        WHERE (s.tenant_id, s.device_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY s.tenant_id, s.device_id
        FOR NO KEY UPDATE OF s",
        record::COLUMNS
    );
    let (tenants, devices) = keys(rows.iter().map(|one| one.key));
    let statement = transaction.prepare_cached(&sql).await?;
    let rows = transaction.query(&statement, &[&tenants, &devices]).await?;
    let mut now_us = i64::MIN;
    let mut known = Known::with_capacity(rows.len());
    for row in &rows {
        now_us = row.get::<_, UnixMicros>(2).0;
        known.insert(DeviceKey::new(row.get::<_, &str>(0), row.get::<_, &str>(1)), record::read(row, 3, now_us));
    }
    Ok((known, now_us))
}

/// Makes rows of devices that are registered.
async fn make_rows<'a>(client: &ClientWrapper, missing: impl Iterator<Item = &'a Row<'a>>) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO device_state (tenant_id, device_id, site_id)
        SELECT tenant_id, device_id, v.site_id
        FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant_id, device_id, site_id)
        JOIN device_registry r USING (tenant_id, device_id)
        ORDER BY tenant_id, device_id
        ON CONFLICT DO NOTHING";
    let missing: Vec<&Row<'_>> = missing.collect();
    let sites: Vec<&str> = missing.iter().map(|row| row.site_id).collect();
    let (tenants, devices) = keys(missing.iter().map(|row| row.key));
    let statement = client.prepare_cached(SQL).await?;
    client.execute(&statement, &[&tenants, &devices, &sites]).await.map(drop)
}

async fn update(transaction: &Transaction<'_>, heard: &[(Row<'_>, Continuity)]) -> Result<(), Error> {
    let sql = format!(
        "UPDATE device_state s SET {}, {}, {},
            last_seq = v.last_seq, seq_missing = v.missing, seq_late = v.late, seq_repeats = v.repeats,
            seq_resets = v.resets, seq_reset_at = v.reset_at, seq_missing_ranges = v.missing_ranges::bigint[],
            seq_notes = v.notes::bigint[], usual_interval_ms = v.usual_interval_ms, silence_due_at = v.silence_due_at,
            returned_at = v.returned_at
        FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::text[], $13::text[],
            $14::bigint[], $15::timestamptz[], $16::timestamptz[])
            AS v (tenant_id, device_id, last_seen_at, last_heartbeat_at, last_telemetry_at, last_seq, missing, late, repeats,
                resets, reset_at, missing_ranges, notes, usual_interval_ms, silence_due_at, returned_at)
        WHERE s.tenant_id = v.tenant_id AND s.device_id = v.device_id",
        newest("last_seen_at"),
        newest("last_heartbeat_at"),
        newest("last_telemetry_at")
    );
    type Time = Option<UnixMicros>;
    let number = |of: fn(&Continuity) -> Option<i64>| heard.iter().map(|(_, it)| of(it)).collect::<Vec<Option<i64>>>();
    let time = |of: fn(&Row<'_>, &Continuity) -> Option<i64>| {
        heard.iter().map(|(one, it)| of(one, it).map(UnixMicros)).collect::<Vec<Time>>()
    };
    let (tenants, devices) = keys(heard.iter().map(|(one, _)| one.key));
    let (ranges, notes): (Vec<Option<String>>, Vec<String>) = heard.iter().map(|(_, it)| record::lists(it)).unzip();
    let statement = transaction.prepare_cached(&sql).await?;
    let params: &[&(dyn ToSql + Sync)] = &[
        &tenants,
        &devices,
        &time(|one, _| Some(one.seen_us)),
        &time(|one, _| one.heartbeat_us),
        &time(|one, _| one.telemetry_us),
        &number(|it| Some(it.numbering.last).filter(|last| *last > 0)),
        &number(|it| Some(it.numbering.missing)),
        &number(|it| Some(it.numbering.late)),
        &number(|it| Some(it.numbering.repeats)),
        &number(|it| Some(it.numbering.resets)),
        &time(|_, it| it.numbering.reset_us),
        &ranges,
        &notes,
        &number(|it| it.cadence.usual_us().map(|us| us / 1_000)),
        &time(|_, it| it.silence.due_us),
        &time(|_, it| it.silence.returned_us),
    ];
    transaction.execute(&statement, params).await.map(drop)
}

/// The newer of a column's stored time and the new one, where there is one.
fn newest(column: &str) -> String {
    format!(
        "{column} = coalesce(CASE WHEN s.{column} <= now() + interval '10 minutes' \
         THEN greatest(s.{column}, v.{column}) ELSE v.{column} END, s.{column})"
    )
}
