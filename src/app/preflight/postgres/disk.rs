//! Disk: how fast the rows grow, and for how long there is room. Free space is known where the server is on this machine.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::statvfs;
use tokio_postgres::{Client, Error};

use crate::app::preflight::clock::now_us;
use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::postgres::partitions;
use ingest_core::retention::forecast::{Growth, forecast};
use ingest_core::retention::partition::{Partition, day_of};

const ABOUT: &str = "postgresql disk";

/// The rate is that of so many full days.
const DAYS: usize = 7;

/// Less room than this is worth a warning: a disk is not made larger in an hour.
const FEW_DAYS: u64 = 30;

/// What there is.
struct Found {
    growth: Growth,
    /// Size of the database, in bytes.
    database: u64,
}

/// The result about the disk.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SIZES: &str = "
        SELECT c.relname::text, coalesce(pg_total_relation_size(c.oid), 0)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('raw_events') AND c.relkind = 'r'";
    // The place is shown to few roles only, and tells nothing where the server is elsewhere.
    const SERVER: &str = "
        SELECT CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) ELSE 0 END,
            coalesce(nullif(pg_tablespace_location(d.dattablespace), ''),
                (SELECT setting FROM pg_settings WHERE name = 'data_directory')),
            coalesce(host(inet_server_addr()) LIKE '127.%' OR host(inet_server_addr()) = '::1', true)
        FROM pg_database d WHERE d.datname = current_database()";
    let sizes = client.query(SIZES, &[]).await?;
    let sizes: BTreeMap<String, u64> = sizes.iter().map(|row| (row.get(0), positive(row.get(1)))).collect();
    let all = partitions::list(client).await?;
    let server = client.query_one(SERVER, &[]).await?;
    let place = server.get::<_, Option<String>>(1).filter(|_| server.get(2));
    let growth = Growth {
        full_days: full_days(&all, &sizes, now_us()),
        rows: sizes.values().sum(),
        free: place.and_then(|place| free(Path::new(&place))),
        kept_days: config.retention.raw_events_days,
    };
    Ok(vec![assess(&Found { growth, database: positive(server.get(0)) })])
}

fn positive(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}

/// What is free where the server keeps its data; none where this process may not look.
fn free(directory: &Path) -> Option<u64> {
    let space = statvfs(directory).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Sizes of the last full days of which there are rows; pieces of a day count together.
fn full_days(partitions: &[Partition], sizes: &BTreeMap<String, u64>, now_us: i64) -> Vec<u64> {
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for partition in partitions {
        if let Some(day_us) = partition.day_us().filter(|day_us| *day_us < day_of(now_us)) {
            *days.entry(day_us).or_default() += sizes.get(&partition.name).copied().unwrap_or_default();
        }
    }
    days.into_values().rev().take(DAYS).collect()
}

fn assess(Found { growth, database }: &Found) -> CheckResult {
    let database = bytes(*database);
    let Some(forecast) = forecast(growth) else {
        return CheckResult::ok(
            ABOUT,
            format!("the database has {database}; no full day has rows yet to tell a rate by"),
        );
    };
    let a_day = bytes(forecast.a_day);
    let kept = match (growth.kept_days, forecast.levels_off_at) {
        (Some(days), Some(size)) => format!("{days} days of them level off at {}", bytes(size)),
        _ => "they are kept for ever".to_owned(),
    };
    let rate = format!("the database has {database}, rows grow by {a_day} a day, {kept}");
    let advice = "give the server more room, or keep rows for fewer days (RAW_EVENTS_RETENTION_DAYS)";
    match (growth.free, forecast.days_left) {
        (None, _) => {
            const HUNDRED_GIB: u64 = 100 << 30;
            let days = HUNDRED_GIB / forecast.a_day;
            CheckResult::ok(ABOUT, format!("{rate}; free space is not known from here: 100 GiB last for {days} days"))
        }
        (Some(free), None) => CheckResult::ok(ABOUT, format!("{rate}; {} are free, which is enough", bytes(free))),
        (Some(free), Some(days)) => {
            let found = format!("{rate}; {} are free, which last for {days} days", bytes(free));
            match days < FEW_DAYS || growth.kept_days.is_some() {
                true => CheckResult::warn(ABOUT, found, advice),
                false => CheckResult::ok(ABOUT, found),
            }
        }
    }
}

/// A size as people read it.
fn bytes(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (size as f64 / 1024.0, units[0]);
    for larger in &units[1..] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;
    use ingest_core::retention::partition::DAY_US;

    const GIB: u64 = 1 << 30;

    fn found(free: Option<u64>, kept_days: Option<u32>) -> CheckResult {
        let growth = Growth { full_days: vec![GIB, 3 * GIB], rows: 10 * GIB, free, kept_days };
        assess(&Found { growth, database: 12 * GIB })
    }

    #[test]
    fn it_is_said_how_long_the_disk_lasts() {
        let enough = found(Some(100 * GIB), None);
        assert_eq!((enough.level, enough.advice), (Level::Ok, None));
        let said = "the database has 12 GiB, rows grow by 2.0 GiB a day, they are kept for ever; 100 GiB are free, which \
                    last for 50 days";
        assert_eq!(enough.found, said);
        let few = found(Some(59 * GIB), None);
        assert_eq!(few.level, Level::Warn);
        assert!(few.found.ends_with("which last for 29 days"), "{}", few.found);
    }

    #[test]
    fn with_retention_what_counts_is_whether_it_levels_off_before_the_disk_is_full() {
        let enough = found(Some(52 * GIB), Some(30));
        assert_eq!(enough.level, Level::Ok);
        assert!(enough.found.contains("30 days of them level off at 62 GiB; 52 GiB are free, which is enough"));
        let full_before = found(Some(51 * GIB), Some(30));
        assert_eq!(full_before.level, Level::Warn, "a day too few");
        assert_eq!(found(Some(80 * GIB), Some(3_000)).level, Level::Warn, "in the end it is full");
    }

    #[test]
    fn without_a_look_at_the_disk_it_is_said_what_room_lasts_how_long() {
        let unknown = found(None, None);
        assert_eq!(unknown.level, Level::Ok);
        assert!(unknown.found.ends_with("100 GiB last for 50 days"), "{}", unknown.found);
    }

    #[test]
    fn the_rate_is_that_of_the_last_full_days() {
        let now_us = 100 * DAY_US + 5;
        let day = |day: i64, name: &str| Partition {
            name: name.to_owned(),
            bounds: Some(day * DAY_US..(day + 1) * DAY_US),
            is_ordinary: true,
            is_half_detached: false,
        };
        let piece = |name: &str| Partition { bounds: Some(98 * DAY_US..98 * DAY_US + 9), ..day(98, name) };
        let all = [day(97, "a"), piece("b"), piece("c"), day(100, "today"), day(101, "tomorrow")];
        let sizes = [("a", 1), ("b", 20), ("c", 300), ("today", 4_000), ("tomorrow", 50_000)];
        let sizes = sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
        assert_eq!(full_days(&all, &sizes, now_us), [320, 1]);
        let many: Vec<Partition> = (1..50).map(|number| day(number, "a")).collect();
        assert_eq!(full_days(&many, &sizes, now_us).len(), DAYS);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([0, 1_536, 20 << 20, 5 << 40].map(bytes), ["0.0 KiB", "1.5 KiB", "20 MiB", "5.0 TiB"]);
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }
}
