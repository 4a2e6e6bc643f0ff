//! Old partitions of `raw_events` are dropped, one by one.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use slog::{Logger, debug, info};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::session::Session;
use crate::postgres::bounded_session::SessionError;
use crate::postgres::partitions;
use crate::postgres::types::UnixMicros;
use crate::runtime::error_chain::error_chain;
use crate::runtime::failpoint;
use ingest_core::retention::partition::Partition;
use ingest_core::retention::plan::{Plan, kept_from_us, plan};

/// Dropping a partition makes writers stand still for a moment; between two of them they catch up.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a table that is in use is tried in a round, and the pause in between. Each try makes writers wait for a fifth of a second.
const TRIES: u32 = 3;
const PAUSE_IN_USE: Duration = Duration::from_secs(2);

/// What was found and done.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Whether the table has day partitions at all.
    pub is_divided: bool,
    /// First microsecond of the oldest day that is there now, of the node's partitions.
    pub oldest_us: Option<i64>,
    /// Old partitions of days that InfluxDB is owed points of.
    pub held_back: Vec<Partition>,
    /// Old partitions of others.
    pub others: Vec<Partition>,
    /// What could not be dropped because somebody was reading it, or the table.
    pub in_use: Vec<String>,
    /// What PostgreSQL would not drop, with its words.
    pub refused: Vec<(String, String)>,
}

/// What became of one try.
enum Tried {
    Dropped,
    /// Something is owed by now, or it is gone already.
    Kept,
    InUse,
    Refused(String),
}

/// Drops what is older than so many days.
///
/// # Errors
/// As [`Session::run`].
pub(super) async fn drop_old(
    session: &mut Session,
    days: u32,
    dropped: &Counter,
    log: &Logger,
) -> Result<Rows, SessionError> {
    if !session.run(async |client| partitions::are_by_received_at(client).await).await? {
        return Ok(Rows::default());
    }
    let now_us = session.now_us().await?;
    let from_us = kept_from_us(now_us, days);
    let owed = session.run(async |client| owed_before(client, from_us).await).await?;
    let all = session.run(async |client| partitions::list(client).await).await?;
    let Plan { due, held_back, others } = plan(all, now_us, days, &owed);

    let mut rows = Rows { is_divided: true, held_back, others, ..Rows::default() };
    let (mut due, mut tries) = (VecDeque::from(due), 0);
    while let Some(partition) = due.pop_front() {
        match session.run(async |client| try_to_drop(client, &partition.name).await).await? {
            Tried::Dropped => {
                failpoint::pass("retention-drop");
                dropped.inc();
                info!(log, "partition dropped"; "table" => &partition.name);
                session.pause(PAUSE).await?;
            }
            Tried::Kept => {}
            Tried::Refused(why) => rows.refused.push((partition.name, why)),
            Tried::InUse => {
                debug!(log, "an old partition is in use: the next one first"; "table" => &partition.name);
                tries += 1;
                // Only this one may be in use.
                due.push_back(partition);
                if tries == TRIES {
                    break;
                }
                session.pause(PAUSE_IN_USE).await?;
            }
        }
    }
    rows.in_use = due.into_iter().map(|partition| partition.name).collect();
    let left = session.run(async |client| partitions::list(client).await).await?;
    rows.oldest_us = left.iter().filter_map(Partition::day_us).min();
    Ok(rows)
}

/// Days before this moment of which InfluxDB is owed points: by the outbox, or by a backfill that is under way. One that nobody has
/// gone on with for a week holds nothing back.
async fn owed_before(client: &Client, before_us: i64) -> Result<Vec<RangeInclusive<i64>>, Error> {
    const SQL: &str = "
        SELECT date_trunc('day', received_from), date_trunc('day', received_to) FROM influx_outbox WHERE received_from < $1
        UNION
        SELECT date_trunc('day', position_at), date_trunc('day', received_to) FROM influx_backfills
        WHERE finished_at IS NULL AND updated_at > now() - interval '7 days' AND position_at < $1";
    let rows = client.query(SQL, &[&UnixMicros(before_us)]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (UnixMicros(first), UnixMicros(last)) = (row.get(0), row.get(1));
            first..=last
        })
        .collect())
}

async fn try_to_drop(client: &Client, name: &str) -> Result<Tried, Error> {
    match client.query_one("SELECT ingest_drop_partition($1)", &[&name]).await {
        Ok(row) if row.get(0) => Ok(Tried::Dropped),
        Ok(_) => Ok(Tried::Kept),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Tried::InUse),
        // A view of somebody's needs it.
        Err(error) if error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
            Ok(Tried::Refused(error_chain(&error)))
        }
        Err(error) => Err(error),
    }
}
