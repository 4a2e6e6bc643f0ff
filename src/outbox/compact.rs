//! Compaction: merges entries of the outbox that fit together. A node that can't write releases one entry per tenant and flush:
//! millions in a week, and their redelivery would be as many small reads.
//!
//! A merged entry gets a new number. A node that was taken for dead may still delete, by its number, any entry whose lines it
//! has written: such an entry must never have come to stand for more.

use tokio_postgres::{Client, Error};

use crate::postgres::types::UnixMicros;

/// Length of a slot of the broker's time in microseconds. Entries that begin in one slot fit together, unless they are longer
/// than it: a merged entry is shorter than two slots, so that reading its range stays cheap.
pub const SLOT_US: i64 = 6_000_000;

/// Bounds of a compact page.
#[derive(Clone, Copy, Debug)]
pub struct CompactPage {
    /// Entries that are read.
    pub rows: i64,
    /// Most lines of a merged entry.
    pub lines: i64,
}

/// What became of a compact page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Entries that were merged.
    pub merged: i64,
    /// Entries that they became.
    pub made: i64,
    /// Whether the end of the outbox was reached: the next page begins at its beginning.
    pub is_round_done: bool,
}

/// Goes round the entries that nobody owns, tenant by tenant in the order of their release, page by page.
#[derive(Debug)]
pub struct Compactor {
    after: (String, i64, i64),
}

impl Default for Compactor {
    fn default() -> Self {
        Self { after: (String::new(), 0, i64::MIN) }
    }
}

impl Compactor {
    /// Compacts the next page: one statement, so that every line is in the outbox once at every moment. Entries that others
    /// have locked are left out, and so are those that were claimed meanwhile.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn compact(&mut self, client: &Client, page: CompactPage) -> Result<Compacted, Error> {
        // Only what will be merged is locked. Half of the most lines make a piece and nothing larger is merged, so that no piece
        // is larger than allowed.
        const SQL: &str = "
            WITH page AS MATERIALIZED (
                SELECT id, tenant_id, stream, received_from, received_to, lines, retry_at FROM influx_outbox
                WHERE owner IS NULL AND (tenant_id, retry_at, id) > ($1, $2, $3)
                ORDER BY tenant_id, retry_at, id LIMIT $4
            ), slotted AS (
                SELECT *, div(extract(epoch FROM received_from) * 1000000, $6::bigint) AS slot FROM page
                WHERE lines <= $5::bigint / 2
                    AND received_to - received_from <= $6::bigint * interval '1 microsecond'
            ), pieces AS (
                SELECT id, tenant_id, stream, slot,
                    div(sum(lines) OVER (PARTITION BY tenant_id, stream, slot ORDER BY received_from, id) - 1,
                        greatest(1, $5::bigint / 2)) AS piece
                FROM slotted
            ), fitting AS (
                SELECT id, slot, piece FROM (
                    SELECT *, count(*) OVER (PARTITION BY tenant_id, stream, slot, piece) AS size FROM pieces
                ) AS sized WHERE size > 1
            ), locked AS (
                SELECT id FROM influx_outbox
                WHERE id IN (SELECT id FROM fitting) AND owner IS NULL FOR UPDATE SKIP LOCKED
            ), gone AS (
                DELETE FROM influx_outbox WHERE id IN (SELECT id FROM locked)
                RETURNING id, tenant_id, stream, received_from, received_to, lines, attempts, retry_at, created_at
            ), made AS (
                INSERT INTO influx_outbox
                    (tenant_id, stream, received_from, received_to, lines, attempts, retry_at, created_at)
                SELECT tenant_id, stream, min(received_from), max(received_to), sum(lines)::bigint, max(attempts),
                    max(retry_at), min(created_at)
                FROM gone JOIN fitting USING (id) GROUP BY tenant_id, stream, slot, piece
                RETURNING id
            )
            SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM gone), (SELECT count(*) FROM made),
                last.tenant_id, last.retry_at, last.id
            FROM (VALUES (1)) AS one (row) LEFT JOIN (
                SELECT tenant_id, retry_at, id FROM page ORDER BY tenant_id DESC, retry_at DESC, id DESC LIMIT 1
            ) AS last ON true";
        let (tenant_id, retry_us, id) = &self.after;
        let row =
            client.query_one(SQL, &[tenant_id, &UnixMicros(*retry_us), id, &page.rows, &page.lines, &SLOT_US]).await?;
        let is_round_done = row.get::<_, i64>(0) < page.rows;
        self.after = match row.get::<_, Option<String>>(3) {
            Some(tenant_id) if !is_round_done => {
                let UnixMicros(retry_us) = row.get(4);
                (tenant_id, retry_us, row.get(5))
            }
            _ => Self::default().after,
        };
        Ok(Compacted { merged: row.get(1), made: row.get(2), is_round_done })
    }
}
