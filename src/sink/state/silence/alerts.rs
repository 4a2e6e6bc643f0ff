//! The statements on alerts: which are to be published, and what is on record once they are.

use tokio_postgres::{Client, Error};

use crate::postgres::types::UnixMicros;
use ingest_core::state::alert::{Kind, Pending};

/// Most alerts of one tenant, and of all, that are read at once.
const MOST_OF_TENANT: i64 = 10_000;
const MOST: i64 = 50_000;

/// What is to be published next: of a device that is silent that it is, and only then that it came back.
pub(super) async fn pending(client: &Client) -> Result<Vec<Pending>, Error> {
    const SQL: &str = "
        SELECT tenant_id::text, device_id::text, site_id::text, coalesce(last_seen_at::timestamptz, silent_since), usual_interval_ms::bigint,
            silent_since, CASE WHEN silence_alerted THEN returned_at END
        FROM (
            SELECT s.*, row_number() OVER (PARTITION BY s.tenant_id ORDER BY s.device_id) AS place
            FROM device_state s JOIN device_registry r USING (tenant_id, device_id)
            WHERE r.status::text = 'ACTIVE' AND (s.silent_since IS NOT NULL AND NOT s.silence_alerted OR s.returned_at IS NOT NULL)
        ) AS p
        WHERE place <= $1 AND silent_since IS NOT NULL
        ORDER BY tenant_id, device_id LIMIT $2";
    let rows = client.query(SQL, &[&MOST_OF_TENANT, &MOST]).await?;
    let pending = |row: &tokio_postgres::Row| Pending {
        tenant_id: row.get(0),
        device_id: row.get(1),
        site_id: row.get(2),
        last_received_us: row.get::<_, UnixMicros>(3).0,
        usual_interval_ms: row.get(4),
        silent_since_us: row.get::<_, UnixMicros>(5).0,
        returned_us: row.get::<_, Option<UnixMicros>>(6).map(|returned| returned.0),
    };
    Ok(rows.iter().map(pending).collect())
}

/// Puts on record that these are published. A device that came back is watched again, from now on.
pub(super) async fn published(client: &Client, pending: &[&Pending]) -> Result<(), Error> {
    const SILENT: &str = "
        UPDATE device_state s SET silence_alerted = true
        FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS v (tenant_id, device_id, silent_since)
        WHERE s.tenant_id = v.tenant_id AND s.device_id = v.device_id AND s.silent_since = v.silent_since";
    const RETURNED: &str = "
        UPDATE device_state s
        SET silent_since = NULL, silence_alerted = false, returned_at = NULL,
            silence_due_at = coalesce(s.silence_due_at, s.last_seen_at)
        FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS v (tenant_id, device_id, silent_since)
        WHERE s.tenant_id = v.tenant_id AND s.device_id = v.device_id AND s.silent_since = v.silent_since";
    for (kind, sql) in [(Kind::Silent, SILENT), (Kind::Returned, RETURNED)] {
        let of_kind: Vec<&&Pending> = pending.iter().filter(|one| Kind::of(one) == kind).collect();
        if !of_kind.is_empty() {
            let tenants: Vec<&str> = of_kind.iter().map(|one| one.tenant_id.as_str()).collect();
            let devices: Vec<&str> = of_kind.iter().map(|one| one.device_id.as_str()).collect();
            let since: Vec<UnixMicros> = of_kind.iter().map(|one| UnixMicros(one.silent_since_us)).collect();
            client.execute(sql, &[&tenants, &devices, &since]).await?;
        }
    }
    Ok(())
}

/// Forgets the silence of devices that are registered no more, or revoked: nobody is told of them.
pub(super) async fn forget_inactive(client: &Client) -> Result<(), Error> {
    const SQL: &str = "
        UPDATE device_state s
        SET silent_since = NULL, silence_alerted = false, returned_at = NULL, silence_due_at = NULL
        WHERE s.silent_since IS NOT NULL AND NOT EXISTS (
            SELECT FROM device_registry r
            WHERE r.tenant_id = s.tenant_id AND r.device_id = s.device_id AND r.status = 'ACTIVE')";
    client.execute(SQL, &[]).await.map(drop)
}
