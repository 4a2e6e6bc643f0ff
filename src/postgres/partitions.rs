//! The partitions of `raw_events`, as the catalog lists them.

use tokio_postgres::{Client, Error};

use super::types::UnixMicros;
use ingest_core::retention::partition::Partition;

/// All partitions, whoever made them; none where the table has none.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn list(client: &Client) -> Result<Vec<Partition>, Error> {
    // The bounds are text only, as the session writes timestamps: ISO and UTC. MINVALUE and MAXVALUE have no quotes.
    const SQL: &str = "
        SELECT c.relname::text, bounds = 'DEFAULT',
            coalesce(substring(bounds FROM 'FROM \\(''([^'']+)''\\)')::timestamptz, '-infinity'),
            coalesce(substring(bounds FROM 'TO \\(''([^'']+)''\\)')::timestamptz, 'infinity'),
            c.relkind = 'r' AND c.relnamespace = parent.relnamespace, i.inhdetachpending
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_class parent ON parent.oid = i.inhparent
        CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bounds
        WHERE i.inhparent = to_regclass('raw_events') AND (bounds LIKE 'FOR VALUES FROM%' OR bounds = 'DEFAULT')";
    let rows = client.query(SQL, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (UnixMicros(from_us), UnixMicros(to_us)) = (row.get(2), row.get(3));
            Partition {
                name: row.get(0),
                bounds: (!row.get::<_, bool>(1)).then_some(from_us..to_us),
                is_ordinary: row.get(4),
                is_half_detached: row.get(5),
            }
        })
        .collect())
}

/// Whether the table is partitioned by the broker's time, as the node has it; one of an earlier system may be in one piece, or
/// divided by something else.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn are_by_received_at(client: &Client) -> Result<bool, Error> {
    let sql = "SELECT coalesce(bool_or(pg_get_partkeydef(oid) = 'RANGE (received_at)'), false) \
               FROM pg_class WHERE oid = to_regclass('raw_events') AND relkind = 'p'";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
