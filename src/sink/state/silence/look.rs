//! The statements of a look at the devices: who looks, which devices are silent now, and how many are.

use std::collections::HashMap;

use tokio_postgres::{Client, Error};

use crate::metrics::{MOST_DEVICES, Silent, SilentDevice};
use crate::postgres::types::UnixMicros;
use crate::sink::state::record;
use ingest_core::message::device::DeviceKey;
use ingest_core::state::continuity::{Assessment, Limits};

/// Devices that are looked at together.
const PAGE: i64 = 2_000;
/// The name of the lease.
const LEASE: &str = "silence";

/// What became of a page of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Devices that are silent now.
    pub silent: u64,
    /// There may be more devices to look at.
    pub is_full: bool,
}

/// Takes the lease, or renews it, for so many seconds; whether this replica has it.
pub(super) async fn lease(client: &Client, holder: &str, secs: f64) -> Result<bool, Error> {
    const SQL: &str = "
        INSERT INTO ingest_leases AS l (name, holder, until)
        VALUES ($1, $2::text::uuid, clock_timestamp() + $3 * interval '1 second')
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE l.holder = excluded.holder OR l.until < clock_timestamp()";
    Ok(client.execute(SQL, &[&LEASE, &holder, &secs]).await? == 1)
}

/// Gives the lease back.
pub(super) async fn release(client: &Client, holder: &str) -> Result<(), Error> {
    const SQL: &str = "DELETE FROM ingest_leases WHERE name = $1 AND holder = $2::text::uuid";
    client.execute(SQL, &[&LEASE, &holder]).await.map(drop)
}

/// Looks at the devices that are due: marks those that are silent, and puts off the others. Within `seen` (Unix microseconds)
/// everything that devices have sent is known.
pub(super) async fn page(client: &Client, limits: &Limits, seen: (i64, i64)) -> Result<Looked, Error> {
    let select = format!(
        "SELECT s.tenant_id::text, s.device_id::text, coalesce(r.status::text = 'ACTIVE', false), {}
        FROM device_state s LEFT JOIN device_registry r USING (tenant_id, device_id)
        WHERE s.silent_since IS NULL AND s.silence_due_at <= $1 AND isfinite(s.last_seen_at::timestamptz)
        ORDER BY s.silence_due_at LIMIT $2",
        record::COLUMNS
    );
    // Whoever was heard of since is looked at another time.
    const UPDATE: &str = "
        UPDATE device_state s SET silent_since = v.silent_since, silence_due_at = v.due_at, silence_alerted = false
        FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
            AS v (tenant_id, device_id, last_seen_at, silent_since, due_at)
        WHERE s.tenant_id = v.tenant_id AND s.device_id = v.device_id
            AND s.silent_since IS NULL AND s.last_seen_at::timestamptz = v.last_seen_at";
    let statement = client.prepare(&select).await?;
    let rows = client.query(&statement, &[&UnixMicros(seen.1), &PAGE]).await?;
    let (mut tenants, mut devices) = (Vec::<&str>::new(), Vec::<&str>::new());
    let (mut seen_at, mut silent_since, mut due_at) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let is_active: bool = row.get(2);
        let continuity = record::read(row, 3, seen.1);
        let assessment = match continuity.last_seen_us {
            Some(last_us) if is_active => limits.assess(continuity.cadence, last_us, seen),
            _ => Assessment::Unknown,
        };
        let (silent, due) = match assessment {
            Assessment::SilentSince(since_us) => (Some(UnixMicros(since_us)), None),
            Assessment::NotBefore(due_us) => (None, Some(UnixMicros(due_us))),
            // Its next message makes it due again.
            Assessment::Unknown => (None, None),
        };
        tenants.push(row.get(0));
        devices.push(row.get(1));
        seen_at.push(row.get::<_, Option<UnixMicros>>(3));
        silent_since.push(silent);
        due_at.push(due);
    }
    if !rows.is_empty() {
        client.execute(UPDATE, &[&tenants, &devices, &seen_at, &silent_since, &due_at]).await?;
    }
    let silent = silent_since.iter().flatten().count() as u64;
    Ok(Looked { silent, is_full: rows.len() as i64 >= PAGE })
}

/// The devices that are silent: how many of each tenant, and those that fell silent last.
pub(super) async fn silent(client: &Client) -> Result<Silent, Error> {
    Ok(Silent { tenants: counted(client).await?, devices: latest(client).await? })
}

async fn latest(client: &Client) -> Result<Vec<SilentDevice>, Error> {
    const SQL: &str = "
        SELECT tenant_id, device_id, silent_since, last_seen_at FROM device_state
        WHERE silent_since IS NOT NULL AND returned_at IS NULL
        ORDER BY silent_since DESC, tenant_id, device_id LIMIT $1";
    let rows = client.query(SQL, &[&(MOST_DEVICES as i64)]).await?;
    let device = |row: &tokio_postgres::Row| SilentDevice {
        key: DeviceKey::new(row.get(0), row.get(1)),
        silent_since_us: row.get::<_, UnixMicros>(2).0,
        last_seen_us: row.get::<_, Option<UnixMicros>>(3).map(|seen| seen.0),
    };
    Ok(rows.iter().map(device).collect())
}

/// How many devices of each tenant are silent. One that has come back is not, although its return may not be published yet.
async fn counted(client: &Client) -> Result<Vec<(String, i64)>, Error> {
    const SQL: &str = "
        SELECT tenant_id, count(*) FROM device_state
        WHERE silent_since IS NOT NULL AND returned_at IS NULL GROUP BY tenant_id";
    let rows = client.query(SQL, &[]).await?;
    let tenants: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(tenants.into_iter().collect())
}
