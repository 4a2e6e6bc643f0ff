//! The writers of derived state, one for each replica: up to when each has written what it heard.

use tokio_postgres::{Client, Error};

use super::Config;
use crate::postgres::types::UnixMicros;

/// A writer that has said nothing for longer than this many of the longest intervals, and the bound of a write, is gone.
const GONE_INTERVALS: u64 = 3;

/// Up to when everything that was heard is written, and the time; Unix microseconds of PostgreSQL's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// `None` while this node's own writer has not written, or not for long.
    pub to_us: Option<i64>,
    /// The time.
    pub now_us: i64,
}

/// Says that this writer has written everything that it had heard `ago_secs` ago.
pub(super) async fn flushed(client: &Client, node_id: &str, ago_secs: f64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO ingest_state_writers (node_id, flushed_at, seen_at)
        VALUES ($1::text::uuid, clock_timestamp() - $2 * interval '1 second', clock_timestamp())
        ON CONFLICT (node_id) DO UPDATE SET flushed_at = excluded.flushed_at, seen_at = excluded.seen_at";
    client.execute(SQL, &[&node_id, &ago_secs]).await.map(drop)
}

/// This writer has written everything and ends; those that have been gone for a day are forgotten with it.
pub(super) async fn ended(client: &Client, node_id: &str) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM ingest_state_writers WHERE node_id = $1::text::uuid OR seen_at < now() - interval '1 day'";
    client.execute(SQL, &[&node_id]).await.map(drop)
}

/// Up to when all writers have written.
pub(super) async fn written(client: &Client, node_id: &str, config: &Config) -> Result<Written, Error> {
    const SQL: &str = "
        SELECT CASE WHEN bool_or(node_id = $1::text::uuid) THEN min(flushed_at) END, clock_timestamp()
        FROM ingest_state_writers WHERE seen_at > clock_timestamp() - $2 * interval '1 second'";
    let gone_secs = (config.flush_interval_max_secs * GONE_INTERVALS + config.write_timeout_secs) as f64;
    let row = client.query_one(SQL, &[&node_id, &gone_secs]).await?;
    Ok(Written { to_us: row.get::<_, Option<UnixMicros>>(0).map(|to| to.0), now_us: row.get::<_, UnixMicros>(1).0 })
}
