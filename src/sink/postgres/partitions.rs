//! Day partitions of `raw_events`: made ahead, and on demand before rows of a day that nobody has met yet. Where somebody
//! else's partition covers part of a day, the rest of the day gets its own.
//!
//! A partition is created beside the table and then attached: unlike `CREATE TABLE ... PARTITION OF`, that blocks
//! neither readers nor writers of the table.

use std::collections::BTreeSet;
use std::ops::Range;

use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, info};
use time::OffsetDateTime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, GenericClient, Transaction};

use crate::postgres::types::UnixMicros;
use ingest_core::flow::gaps::gaps;

/// Replicas make the same partitions at the same moment: they take turns on this advisory lock.
const PARTITION_LOCK: i64 = 0x696e_6765_7374_0002;

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
    pub(super) async fn ensure(&self, client: &mut Client, days: &[Day], log: &Logger) -> Result<(), Error> {
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
                for name in attach(client, span).await? {
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
    pub(super) async fn ensure_ahead(&self, client: &mut Client, now_us: i64, log: &Logger) -> Result<(), Error> {
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
        let sql = "SELECT coalesce(bool_or(pg_get_partkeydef(oid) = 'RANGE (received_at)'), false) \
                   FROM pg_class WHERE oid = to_regclass('raw_events') AND relkind = 'p'";
        let ours = client.query_one(sql, &[]).await?.get(0);
        self.known().ours = Some(ours);
        Ok(ours)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

/// Creates and attaches partitions for what no partition covers of a day; their names.
async fn attach(client: &mut Client, day: Range<i64>) -> Result<Vec<String>, Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK]).await?;
    let mut attached = Vec::new();
    for gap in gaps(day, &covered(&transaction).await?) {
        let name = free_name(&transaction, gap.start).await?;
        let (from, to) = (bound(gap.start), bound(gap.end));
        let made = transaction
            .batch_execute(&format!(
                "CREATE TABLE {name} (LIKE raw_events INCLUDING ALL); \
                 ALTER TABLE raw_events ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
            ))
            .await;
        match made {
            Ok(()) => attached.push(name),
            // Rows of that time lie in somebody's default partition, or somebody was faster: rows go there.
            Err(error) if is_covered(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    transaction.commit().await?;
    Ok(attached)
}

/// What the table's partitions cover, whoever made them.
async fn covered(client: &impl GenericClient) -> Result<Vec<Range<i64>>, Error> {
    // The bounds are text only, as the session writes timestamps: ISO and UTC. MINVALUE and MAXVALUE have no quotes.
    const SQL: &str = "
        SELECT coalesce(substring(bounds FROM 'FROM \\(''([^'']+)''\\)')::timestamptz, '-infinity'),
            coalesce(substring(bounds FROM 'TO \\(''([^'']+)''\\)')::timestamptz, 'infinity')
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bounds
        WHERE i.inhparent = 'raw_events'::regclass AND bounds LIKE 'FOR VALUES FROM%'";
    let rows = client.query(SQL, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, UnixMicros>(0).0..row.get::<_, UnixMicros>(1).0).collect())
}

/// Whether there is a partition for a row of this moment, the default one included.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(crate) async fn has_place(client: &Client, at_us: i64) -> Result<bool, Error> {
    const DEFAULT: &str = "
        SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'raw_events'::regclass AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT')";
    if covered(client).await?.iter().any(|partition| partition.contains(&at_us)) {
        return Ok(true);
    }
    Ok(client.query_one(DEFAULT, &[]).await?.get(0))
}

/// A name that no table has. One that is taken may be a detached partition, kept as an archive: it is left alone.
async fn free_name(transaction: &Transaction<'_>, from_us: i64) -> Result<String, Error> {
    let digits = moment(from_us).map(|at| format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day()));
    let plain = format!("raw_events_{}", digits.unwrap_or_default());
    let mut name = plain.clone();
    let mut number = 2_u32;
    while transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await?.get(0) {
        name = format!("{plain}_{number}");
        number += 1;
    }
    Ok(name)
}

fn moment(unix_us: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_us) * 1_000).ok()
}

fn bound(unix_us: i64) -> String {
    let Some(at) = moment(unix_us) else { return "MAXVALUE".to_owned() };
    let (date, time) = (at.date(), at.time());
    format!(
        "'{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00'",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
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
        let day = Day(20_493).span().unwrap();
        assert_eq!(bound(day.start), "'2026-02-09 00:00:00.000000+00'");
        assert_eq!(bound(day.end - 1), "'2026-02-09 23:59:59.999999+00'");
    }

    #[test]
    fn a_day_out_of_the_calendar_has_no_place_and_the_last_one_no_end() {
        assert_eq!(Day::of(i64::MAX).span(), None);
        assert_eq!(Day::of(i64::MIN).span(), None);
        // 9999-12-31.
        assert_eq!(bound(Day(2_932_896).span().unwrap().end), "MAXVALUE");
    }
}
