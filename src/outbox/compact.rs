//! Merges rows of the outbox that fit together. A node that can't write releases one row per tenant and flush: millions
//! in a week, and their replay would be as many small reads.
//!
//! Merged rows get a new number. A node that was taken for dead may still delete, by its number, any row whose lines it
//! has written: such a row must never have come to stand for more.

use tokio_postgres::{Client, Error};

use crate::postgres::types::UnixMicros;

/// Rows that begin in one such piece of the broker's time fit together, unless they are longer than it: a merged row is
/// shorter than two, so that reading its range stays cheap.
pub const SLOT_US: i64 = 6_000_000;

/// What one bite may be.
#[derive(Clone, Copy, Debug)]
pub struct CompactPage {
    /// Rows looked at.
    pub rows: i64,
    /// Most lines of a merged row.
    pub lines: i64,
}

/// What one bite did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Rows that were merged.
    pub merged: i64,
    /// Rows that they became.
    pub made: i64,
    /// Whether the end of the record was reached: the next bite begins at its beginning.
    pub is_round_done: bool,
}

/// Goes round the rows that nobody owns, tenant by tenant in the order of their release, bite by bite.
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
    /// Takes the next bite: one statement, so that every line is on record once at every moment. Rows that others have
    /// locked are left out, and so is what somebody has claimed meanwhile.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn bite(&mut self, client: &Client, bite: CompactPage) -> Result<Compacted, Error> {
        // Only what will be merged is locked. Half a row's most lines make a piece and nothing larger is merged, so that
        // no piece is more than whole.
        const SQL: &str = "
            WITH bite AS MATERIALIZED (
                SELECT id, tenant_id, stream, received_from, received_to, lines, retry_at FROM influx_outbox
                WHERE owner IS NULL AND (tenant_id, retry_at, id) > ($1, $2, $3)
                ORDER BY tenant_id, retry_at, id LIMIT $4
            ), slotted AS (
                SELECT *, div(extract(epoch FROM received_from) * 1000000, $6::bigint) AS slot FROM bite
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
            SELECT (SELECT count(*) FROM bite), (SELECT count(*) FROM gone), (SELECT count(*) FROM made),
                last.tenant_id, last.retry_at, last.id
            FROM (VALUES (1)) AS one (row) LEFT JOIN (
                SELECT tenant_id, retry_at, id FROM bite ORDER BY tenant_id DESC, retry_at DESC, id DESC LIMIT 1
            ) AS last ON true";
        let (tenant_id, retry_us, id) = &self.after;
        let row =
            client.query_one(SQL, &[tenant_id, &UnixMicros(*retry_us), id, &bite.rows, &bite.lines, &SLOT_US]).await?;
        let is_round_done = row.get::<_, i64>(0) < bite.rows;
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
