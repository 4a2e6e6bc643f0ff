//! Old records of the quarantine and old counters are deleted, in small batches.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tokio_postgres::{Client, Error};

use super::session::Session;
use crate::metrics::{Per, RetainedTable};
use crate::postgres::bounded_session::SessionError;
use crate::postgres::types::UnixMicros;
use crate::runtime::failpoint;
use ingest_core::retention::partition::DAY_US;

/// Rows of one transaction: some tens of milliseconds, and nobody waits for it for longer.
const BATCH: u64 = 1_000;

/// Least pause between two of them; half of the time at most is spent deleting.
const PAUSE: Duration = Duration::from_millis(20);

/// Rows that were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    /// Of `quarantine_events`.
    pub events: u64,
    /// Of `quarantine_counters_minute`.
    pub counters: u64,
}

/// Deletes what is older than so many days.
///
/// # Errors
/// As [`Session::run`]. What was deleted until then stays deleted.
pub(super) async fn delete_old(
    session: &mut Session,
    days: u32,
    deleted: &Per<RetainedTable, Counter>,
) -> Result<Deleted, SessionError> {
    let before_us = session.now_us().await?.saturating_sub(DAY_US.saturating_mul(i64::from(days)));
    let mut of = async |table: RetainedTable, sql: &str| {
        let mut rows = 0;
        loop {
            let began = Instant::now();
            let batch = session.run(async |client| delete(client, sql, before_us).await).await?;
            failpoint::pass("retention-delete");
            rows += batch;
            deleted.of(table).inc_by(batch);
            if batch < BATCH {
                return Ok::<_, SessionError>(rows);
            }
            session.pause(PAUSE.max(began.elapsed())).await?;
        }
    };
    let events = of(RetainedTable::Events, EVENTS).await?;
    let counters = of(RetainedTable::Counters, COUNTERS).await?;
    Ok(Deleted { events, counters })
}

// The time once more: in a table with partitions a place is not one row's alone.
const EVENTS: &str = "
    DELETE FROM quarantine_events WHERE ingested_at < $1 AND ctid = ANY (ARRAY(
        SELECT ctid FROM quarantine_events WHERE ingested_at < $1 ORDER BY ingested_at LIMIT $2))";
const COUNTERS: &str = "
    DELETE FROM quarantine_counters_minute WHERE bucket_minute < $1 AND ctid = ANY (ARRAY(
        SELECT ctid FROM quarantine_counters_minute WHERE bucket_minute < $1 ORDER BY bucket_minute LIMIT $2))";

async fn delete(client: &Client, sql: &str, before_us: i64) -> Result<u64, Error> {
    client.execute(sql, &[&UnixMicros(before_us), &(BATCH as i64)]).await
}
