//! The statements on outbox entries (`influx_outbox`) and their owners (`ingest_nodes`), and the one that reads rows back.

use std::sync::{Arc, LazyLock};

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::tenants::Quota;
use crate::postgres::raw_events::{self, StoredRow, page_query};
use crate::postgres::types::UnixMicros;

/// A claimed entry of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Its number.
    pub id: i64,
    /// Whose points.
    pub tenant_id: String,
    /// The stream that their messages came from.
    pub stream: String,
    /// When the broker received the first and the last of them, Unix microseconds.
    pub received_us: (i64, i64),
    /// Lines it stands for.
    pub lines: i64,
}

/// What may be claimed at once, of all tenants together.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimBatch {
    /// Lines of one tenant that nothing is known of; of the others, their quota.
    pub lines_per_tenant: i64,
    /// Lines in all.
    pub lines: i64,
    /// Entries in all.
    pub rows: i64,
}

/// Registers this owner, and keeps it from expiring.
pub(super) async fn heartbeat(client: &Client, owner: &str) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO ingest_nodes (node_id, seen_at) VALUES ($1::text::uuid, now())
        ON CONFLICT (node_id) DO UPDATE SET seen_at = excluded.seen_at";
    client.execute(SQL, &[&owner]).await.map(drop)
}

/// Most entries of expired owners that are released at once.
pub(super) const REAPED_ROWS: u64 = 10_000;

/// Releases the entries of owners whose last heartbeat is older than `expired_secs`; how many. Younger entries are left alone:
/// their owner may not have sent its first heartbeat yet.
pub(super) async fn reap_expired_owners(client: &Client, expired_secs: f64) -> Result<u64, Error> {
    // Owners are few and their rows many: each owner is looked at once, by way of the index.
    const SQL: &str = "
        WITH RECURSIVE owners AS (
            (SELECT owner FROM influx_outbox WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
            UNION ALL
            SELECT (SELECT o.owner FROM influx_outbox o WHERE o.owner > owners.owner ORDER BY o.owner LIMIT 1)
            FROM owners WHERE owners.owner IS NOT NULL
        ), gone AS (
            SELECT owner FROM owners WHERE owner IS NOT NULL AND NOT EXISTS (
                SELECT FROM ingest_nodes n
                WHERE n.node_id = owners.owner AND n.seen_at > now() - $1 * interval '1 second')
        )
        UPDATE influx_outbox SET owner = NULL, retry_at = now() WHERE id IN (
            SELECT id FROM influx_outbox
            WHERE owner IN (SELECT owner FROM gone) AND created_at < now() - $1 * interval '1 second'
            LIMIT $2 FOR UPDATE SKIP LOCKED)";
    client.execute(SQL, &[&expired_secs, &(REAPED_ROWS as i64)]).await
}

/// Claims entries that nobody owns and that are due, the oldest of each tenant first, and first of those tenants that have
/// the fewest lines under way: at least one entry wherever anything may be claimed.
pub(super) async fn claim(
    client: &Client,
    owner: &str,
    quotas: &[Quota],
    batch: ClaimBatch,
) -> Result<Vec<Claim>, Error> {
    // Rows that another replica is claiming at this moment are passed over.
    const SQL: &str = "
        WITH RECURSIVE tenants AS (
            (SELECT tenant_id FROM influx_outbox WHERE owner IS NULL ORDER BY tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT o.tenant_id FROM influx_outbox o WHERE o.owner IS NULL AND o.tenant_id > tenants.tenant_id
                    ORDER BY o.tenant_id LIMIT 1)
            FROM tenants WHERE tenants.tenant_id IS NOT NULL
        ), able AS (
            SELECT t.tenant_id, coalesce(a.open, 0) AS open, coalesce(a.more, $5::bigint) AS more
            FROM tenants t LEFT JOIN unnest($2::text[], $3::bigint[], $4::bigint[]) AS a (tenant_id, open, more)
                ON a.tenant_id = t.tenant_id
            WHERE t.tenant_id IS NOT NULL AND coalesce(a.more, $5::bigint) > 0
        ), due AS (
            SELECT id, lines, able.tenant_id, able.open + lines_before AS served
            FROM able CROSS JOIN LATERAL (
                SELECT id, lines, sum(lines) OVER (ORDER BY retry_at, id) - lines AS lines_before
                FROM (SELECT id, lines, retry_at FROM influx_outbox o
                      WHERE o.owner IS NULL AND o.tenant_id = able.tenant_id AND o.retry_at <= now()
                      ORDER BY o.retry_at, o.id LIMIT 100) AS oldest
            ) AS batch
            WHERE lines_before < able.more
        ), fair AS (
            SELECT id, sum(lines) OVER (ORDER BY served, tenant_id, id) - lines AS lines_before FROM due
        ), mine AS (
            SELECT id FROM influx_outbox
            WHERE id IN (SELECT id FROM fair WHERE lines_before < $6::bigint ORDER BY lines_before LIMIT $7)
                AND owner IS NULL FOR UPDATE SKIP LOCKED
        )
        UPDATE influx_outbox o SET owner = $1::text::uuid, claimed = true FROM mine WHERE o.id = mine.id
        RETURNING o.id, o.tenant_id, o.stream, o.received_from, o.received_to, o.lines";
    let tenants: Vec<&str> = quotas.iter().map(|quota| &*quota.tenant_id).collect();
    let open: Vec<i64> = quotas.iter().map(|quota| quota.open_lines).collect();
    let lines_of: Vec<i64> = quotas.iter().map(|quota| quota.lines).collect();
    let ClaimBatch { lines_per_tenant, lines, rows } = batch;
    let rows = client.query(SQL, &[&owner, &tenants, &open, &lines_of, &lines_per_tenant, &lines, &rows]).await?;
    Ok(rows.iter().map(claimed).collect())
}

fn claimed(row: &Row) -> Claim {
    let (UnixMicros(from), UnixMicros(to)) = (row.get(3), row.get(4));
    Claim { id: row.get(0), tenant_id: row.get(1), stream: row.get(2), received_us: (from, to), lines: row.get(5) }
}

/// Releases entries that this node has claimed without knowing: the answer to its claim was lost. `known` are the claims that
/// it works on.
pub(super) async fn release_unknown_claims(client: &Client, owner: &str, known: &[i64]) -> Result<u64, Error> {
    const SQL: &str = "
        UPDATE influx_outbox SET owner = NULL, retry_at = now()
        WHERE owner = $1::text::uuid AND claimed AND id <> ALL ($2)";
    client.execute(SQL, &[&owner, &known]).await
}

/// Deletes entries whose lines are all confirmed.
pub(super) async fn delete(client: &Client, ids: &[i64]) -> Result<(), Error> {
    client.execute("DELETE FROM influx_outbox WHERE id = ANY ($1)", &[&ids]).await.map(drop)
}

/// Why entries are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// Lines that came with their deliveries were not all confirmed.
    Live,
    /// A redelivery was not confirmed: the next one waits, longer every time, up to a minute.
    Redelivery,
}

/// Releases entries, unless another node has claimed them meanwhile, or this node itself for redelivery: a node that was taken
/// for dead may find its own entries free.
pub(super) async fn release(client: &Client, owner: &str, ids: &[i64], why: Release) -> Result<(), Error> {
    const SQL: &str = "
        UPDATE influx_outbox SET owner = NULL,
            attempts = attempts + CASE WHEN $3 THEN 1 ELSE 0 END,
            retry_at = now() + CASE WHEN $3 THEN least(60, power(2, least(attempts, 10))) ELSE 0 END * interval '1 second'
        WHERE id = ANY ($2) AND owner = $1::text::uuid AND claimed = $3";
    client.execute(SQL, &[&owner, &ids, &(why == Release::Redelivery)]).await.map(drop)
}

/// Releases everything that this owner holds, and deletes the owner; how many entries.
pub(super) async fn deregister(client: &Client, owner: &str) -> Result<u64, Error> {
    const RELEASE: &str = "UPDATE influx_outbox SET owner = NULL, retry_at = now() WHERE owner = $1::text::uuid";
    let released = client.execute(RELEASE, &[&owner]).await?;
    client.execute("DELETE FROM ingest_nodes WHERE node_id = $1::text::uuid", &[&owner]).await?;
    Ok(released)
}

/// Deletes owners that expired long ago: an owner that is not registered counts as expired as well.
pub(super) async fn delete_expired_owners(client: &Client) -> Result<(), Error> {
    client.execute("DELETE FROM ingest_nodes WHERE seen_at < now() - interval '1 day'", &[]).await.map(drop)
}

/// Which rows to read.
#[derive(Clone, Debug)]
pub(super) struct Page<'a> {
    /// Of this stream.
    pub stream: &'a Arc<str>,
    /// Of these tenants.
    pub tenants: &'a [&'a str],
    /// Received from here on, Unix microseconds and stream sequence: after this message.
    pub after: (i64, i64),
    /// Received until then, Unix microseconds.
    pub to_us: i64,
    /// At most so many.
    pub rows: i64,
}

/// Most bytes of a page. Rows differ by a factor of a thousand in size: their number alone bounds nothing.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The rows of a page.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// In the order of their key.
    pub rows: Vec<StoredRow>,
    /// Whether none follow.
    pub is_last: bool,
}

/// Reads rows in the order of their key, until there are as many as were asked for or [`PAGE_BYTES`] are reached.
pub(super) async fn read(client: &Client, page: Page<'_>) -> Result<Rows, Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let filter = "received_at BETWEEN $1 AND $2 AND stream = $3 AND (received_at > $1 OR stream_seq > $4)
            AND tenant_id = ANY ($5) AND msg_type IN ('telemetry', 'heartbeat') AND device_id <> '' AND site_id <> ''";
        page_query(filter, "received_at, stream_seq", "LIMIT $6")
    });
    let (from, to) = (UnixMicros(page.after.0), UnixMicros(page.to_us));
    let parameters: [&(dyn ToSql + Sync); 6] = [&from, &to, &&**page.stream, &page.after.1, &page.tenants, &page.rows];
    let mut found = raw_events::read(client, &SQL, &parameters).await?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.try_next().await? {
        bytes += row.bytes();
        rows.push(row);
        if bytes >= PAGE_BYTES {
            return Ok(Rows { rows, is_last: false });
        }
    }
    let is_last = (rows.len() as i64) < page.rows;
    Ok(Rows { rows, is_last })
}
