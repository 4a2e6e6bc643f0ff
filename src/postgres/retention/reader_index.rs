//! The index for readers, on partitions that nobody writes to any more: rows of today pay nothing for it.
//!
//! By tenant, device and event time. Readers ask by the device's time; the broker's time, by which a query should be bounded as well,
//! has found the partitions already.

use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use slog::{Logger, info};
use tokio_postgres::{Client, Error};

use super::session::Session;
use crate::postgres::bounded_session::SessionError;
use crate::postgres::partitions;
use crate::runtime::failpoint;
use ingest_core::retention::plan::kept_from_us;

/// A partition, and its index where it has one.
struct Indexed {
    /// The table's name.
    name: String,
    /// The same as SQL takes it.
    table: String,
    /// The index as SQL takes it, and whether it is whole: one whose making was ended on the way is not.
    index: Option<(String, bool)>,
}

/// Makes what is missing, the newest day first; how many. `days`: rows are kept for so long, and what is dropped soon gets none.
///
/// # Errors
/// As [`Session::run`]. A half-made index is made again next time.
pub(super) async fn make_missing(
    session: &mut Session,
    days: Option<u32>,
    made: &Counter,
    log: &Logger,
) -> Result<u64, SessionError> {
    let now_us = session.now_us().await?;
    let kept_from_us = days.map_or(i64::MIN, |days| kept_from_us(now_us, days));
    let mut closed = session.run(async |client| partitions::list(client).await).await?;
    closed.retain(|partition| partition.is_closed(now_us) && partition.day_us().is_some_and(|day| day >= kept_from_us));
    closed.sort_by_key(|partition| std::cmp::Reverse(partition.day_us()));
    let indexed = session.run(async |client| indexes(client).await).await?;

    let mut count = 0;
    for partition in closed {
        let Some(indexed) = indexed.iter().find(|indexed| indexed.name == partition.name) else { continue };
        match &indexed.index {
            Some((_, true)) => continue,
            Some((half_made, false)) => {
                let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {half_made}");
                session.run(async |client| client.batch_execute(&drop).await).await?;
            }
            None => {}
        }
        let (began, create) = (Instant::now(), create(&indexed.table));
        session.run(async |client| client.batch_execute(&create).await).await?;
        failpoint::pass("retention-index");
        made.inc();
        count += 1;
        info!(log, "reader index made"; "table" => &partition.name, "secs" => began.elapsed().as_secs());
    }
    Ok(count)
}

/// PostgreSQL finds a name for it.
fn create(table: &str) -> String {
    format!("CREATE INDEX CONCURRENTLY ON {table} (tenant_id, device_id, event_ts)")
}

/// The partitions, each with an index that begins with those columns, whoever made it and whatever its name.
async fn indexes(client: &Client) -> Result<Vec<Indexed>, Error> {
    const SQL: &str = "
        SELECT c.relname::text, format('%I.%I', n.nspname, c.relname), x.name, x.indisvalid
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN LATERAL (
            SELECT format('%I.%I', n.nspname, made.relname) AS name, x.indisvalid
            FROM pg_index x
            JOIN pg_class made ON made.oid = x.indexrelid
            JOIN pg_am am ON am.oid = made.relam
            WHERE x.indrelid = c.oid AND am.amname = 'btree' AND x.indpred IS NULL
                AND ARRAY(SELECT pg_get_indexdef(x.indexrelid, place, true) FROM generate_series(1, 3) AS place)
                    = ARRAY['tenant_id', 'device_id', 'event_ts']
            ORDER BY x.indisvalid DESC LIMIT 1
        ) AS x ON true
        WHERE i.inhparent = to_regclass('raw_events')";
    let rows = client.query(SQL, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| Indexed {
            name: row.get(0),
            table: row.get(1),
            index: row.get::<_, Option<String>>(2).zip(row.get::<_, Option<bool>>(3)),
        })
        .collect())
}
