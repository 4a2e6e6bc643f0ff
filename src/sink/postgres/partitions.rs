//! Day partitions of `raw_events`: made ahead, and on demand before rows of a day that nobody has met yet. Where somebody
//! else's partition covers part of a day, the rest of the day gets its own.
//!
//! The database makes them (`ingest_make_partitions`, a function of the migrations), so that the role that runs needs no
//! right to change tables. Days that are covered need no right at all.

use std::collections::BTreeSet;
use std::ops::Range;

use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, info};
use time::OffsetDateTime;
use tokio_postgres::{Client, Error};

use crate::postgres::partitions;
use ingest_core::flow::gaps::gaps;

const DAY_US: i64 = 86_400_000_000;

/// Days that are made ahead, today included: enough for a node to come through a long weekend without the rights or
/// the quiet that `CREATE TABLE` needs.
const AHEAD_DAYS: i64 = 4;

/// A day, counted from 1970-01-01, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    /// The day of a moment in Unix microseconds.
    pub(super) const fn of(unix_us: i64) -> Self {
        Self(unix_us.div_euclid(DAY_US))
    }

    /// Its microseconds. `None` beyond the years that a date can be written for: no row of such a day can be stored anyway.
    fn span(self) -> Option<Range<i64>> {
        let from = self.0.checked_mul(DAY_US)?;
        (moment(from)?.year() >= 1).then(|| from..from.saturating_add(DAY_US))
    }
}

/// What is known of the partitions. Shared by all transactions of a node.
#[derive(Debug, Default)]
pub(super) struct Partitions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether the table is partitioned by us; a table of an earlier system may be in one piece, or somebody else's.
    ours: Option<bool>,
    days: BTreeSet<Day>,
}

impl Partitions {
    /// Makes sure that rows of these days have a place. Costs nothing for days that are known.
    ///
    /// # Errors
    /// When PostgreSQL does not answer or refuses.
    pub(super) async fn ensure(&self, client: &Client, days: &[Day], log: &Logger) -> Result<(), Error> {
        let missing: Vec<Day> = {
            let known = self.known();
            if known.ours == Some(false) {
                return Ok(());
            }
            days.iter().copied().filter(|day| !known.days.contains(day)).collect()
        };
        if missing.is_empty() || !self.is_ours(client).await? {
            return Ok(());
        }
        for day in missing {
            if let Some(span) = day.span() {
                for name in make(client, day, span).await? {
                    info!(log, "partition attached"; "table" => name);
                }
            }
            self.known().days.insert(day);
        }
        Ok(())
    }

    /// Makes today's partition and those of the coming days.
    ///
    /// # Errors
    /// As [`Partitions::ensure`].
    pub(super) async fn ensure_ahead(&self, client: &Client, now_us: i64, log: &Logger) -> Result<(), Error> {
        let today = Day::of(now_us);
        let days: Vec<Day> = (0..AHEAD_DAYS).map(|ahead| Day(today.0 + ahead)).collect();
        self.ensure(client, &days, log).await
    }

    /// Forgets these days: PostgreSQL says there is no partition after all (somebody has dropped it). The table may be
    /// another one by now, too.
    pub(super) fn forget(&self, days: &[Day]) {
        let mut known = self.known();
        known.ours = None;
        for day in days {
            known.days.remove(day);
        }
    }

    async fn is_ours(&self, client: &Client) -> Result<bool, Error> {
        if let Some(ours) = self.known().ours {
            return Ok(ours);
        }
        let ours = partitions::are_by_received_at(client).await?;
        self.known().ours = Some(ours);
        Ok(ours)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

/// Has the database make partitions for what no partition covers of a day; their names.
async fn make(client: &Client, day: Day, span: Range<i64>) -> Result<Vec<String>, Error> {
    let Ok(days) = i32::try_from(day.0) else { return Ok(Vec::new()) };
    if gaps(span, &covered(client).await?).is_empty() {
        return Ok(Vec::new());
    }
    let made = client.query("SELECT ingest_make_partitions(date '1970-01-01' + $1::int4)", &[&days]).await?;
    Ok(made.iter().map(|row| row.get(0)).collect())
}

/// What the table's partitions cover, whoever made them.
async fn covered(client: &Client) -> Result<Vec<Range<i64>>, Error> {
    Ok(partitions::list(client).await?.into_iter().filter_map(|partition| partition.bounds).collect())
}

/// Whether there is a partition for a row of this moment, the default one included.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn has_place(client: &Client, at_us: i64) -> Result<bool, Error> {
    let all = partitions::list(client).await?;
    Ok(all.iter().any(|partition| partition.bounds.as_ref().is_none_or(|bounds| bounds.contains(&at_us))))
}

fn moment(unix_us: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_us) * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(Day::of(0), Day(0));
        assert_eq!(Day::of(DAY_US - 1), Day(0));
        assert_eq!(Day::of(-1), Day(-1));
        assert_eq!(Day(20_493).span(), Some(20_493 * DAY_US..20_494 * DAY_US));
    }

    #[test]
    fn a_day_out_of_the_calendar_has_no_place() {
        assert_eq!(Day::of(i64::MAX).span(), None);
        assert_eq!(Day::of(i64::MIN).span(), None);
    }
}
