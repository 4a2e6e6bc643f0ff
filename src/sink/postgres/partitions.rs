//! Day partitions of `raw_events`: made ahead, and on demand before rows of a day that nobody has met yet.
//!
//! A partition is created beside the table and then attached: unlike `CREATE TABLE ... PARTITION OF`, that blocks
//! neither readers nor writers of the table.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use slog::{Logger, info};
use time::{Date, OffsetDateTime};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// Replicas make the same partitions at the same moment: they take turns on this advisory lock.
const PARTITION_LOCK: i64 = 0x696e_6765_7374_0002;

const DAY_US: i64 = 86_400_000_000;

/// Days that are made ahead, today included: enough for a node to come through a long weekend without the rights or
/// the quiet that `CREATE TABLE` needs.
const AHEAD_DAYS: i64 = 4;

/// A day, counted from 1970-01-01, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i64);

impl Day {
    /// The day of a moment in Unix microseconds.
    pub const fn of(unix_us: i64) -> Self {
        Self(unix_us.div_euclid(DAY_US))
    }

    /// `None` beyond the years that a date can be written for: no row of such a day can be stored anyway.
    fn date(self) -> Option<Date> {
        let at = OffsetDateTime::from_unix_timestamp(self.0.checked_mul(86_400)?).ok()?;
        (at.year() >= 1).then(|| at.date())
    }
}

/// What is known of the partitions. Shared by all transactions of a node.
#[derive(Debug, Default)]
pub struct Partitions(Mutex<Known>);

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
    pub async fn ensure(&self, client: &mut Client, days: &[Day], log: &Logger) -> Result<(), Error> {
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
            if let Some(date) = day.date()
                && let Some(name) = attach(client, date).await?
            {
                info!(log, "partition attached"; "table" => name);
            }
            self.known().days.insert(day);
        }
        Ok(())
    }

    /// Makes today's partition and those of the coming days.
    ///
    /// # Errors
    /// As [`Partitions::ensure`].
    pub async fn ensure_ahead(&self, client: &mut Client, now_us: i64, log: &Logger) -> Result<(), Error> {
        let today = Day::of(now_us);
        let days: Vec<Day> = (0..AHEAD_DAYS).map(|ahead| Day(today.0 + ahead)).collect();
        self.ensure(client, &days, log).await
    }

    /// Forgets these days: PostgreSQL says there is no partition after all (somebody has dropped it). The table may be
    /// another one by now, too.
    pub fn forget(&self, days: &[Day]) {
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
        let sql = "SELECT coalesce(bool_or(pg_get_partkeydef(oid) = 'RANGE (received_at)'), false) \
                   FROM pg_class WHERE oid = to_regclass('raw_events') AND relkind = 'p'";
        let ours = client.query_one(sql, &[]).await?.get(0);
        self.known().ours = Some(ours);
        Ok(ours)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates and attaches a day's partition; its name, or `None` where the day has a place already.
async fn attach(client: &mut Client, date: Date) -> Result<Option<String>, Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK]).await?;
    let Some(name) = free_name(&transaction, date).await? else { return Ok(None) };
    let (from, to) = (bound(Some(date)), bound(date.next_day()));
    let made = transaction
        .batch_execute(&format!(
            "CREATE TABLE {name} (LIKE raw_events INCLUDING ALL); \
             ALTER TABLE raw_events ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
        ))
        .await;
    match made {
        Ok(()) => transaction.commit().await.map(|()| Some(name)),
        // Somebody's own partition (a month, the default one) covers the day: rows go there.
        Err(error) if is_covered(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that no table has. `None` where the day's partition is attached already.
async fn free_name(client: &tokio_postgres::Transaction<'_>, date: Date) -> Result<Option<String>, Error> {
    let sql = "SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM pg_inherits \
               WHERE inhrelid = to_regclass($1) AND inhparent = 'raw_events'::regclass)";
    let plain = format!("raw_events_{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day());
    let mut name = plain.clone();
    for number in 2_u32.. {
        let row = client.query_one(sql, &[&name]).await?;
        match (row.get(0), row.get(1)) {
            (_, true) => return Ok(None),
            (false, _) => break,
            // A detached partition, kept as an archive: leave it alone.
            (true, false) => name = format!("{plain}_{number}"),
        }
    }
    Ok(Some(name))
}

fn bound(date: Option<Date>) -> String {
    match date {
        Some(date) => {
            format!("'{:04}-{:02}-{:02} 00:00:00+00'", date.year(), u8::from(date.month()), date.day())
        }
        None => "MAXVALUE".to_owned(),
    }
}

/// Another partition overlaps (42P17), or the default partition holds rows of that day (23514).
fn is_covered(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::INVALID_OBJECT_DEFINITION) || code == Some(&SqlState::CHECK_VIOLATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(Day::of(0), Day(0));
        assert_eq!(Day::of(DAY_US - 1), Day(0));
        assert_eq!(Day::of(-1), Day(-1));
        assert_eq!(bound(Day(20_493).date()), "'2026-02-09 00:00:00+00'");
    }

    #[test]
    fn a_day_out_of_the_calendar_has_no_date() {
        assert_eq!(Day::of(i64::MAX).date(), None);
        assert_eq!(Day::of(i64::MIN).date(), None);
    }
}
