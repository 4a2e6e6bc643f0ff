//! Partitions of `raw_events`: a place for the rows of today and tomorrow, and the right to make more.

use tokio_postgres::{Client, Error};

use crate::app::preflight::clock::now_us;
use crate::app::preflight::result::CheckResult;
use crate::sink::postgres::partitions;

const ABOUT: &str = "postgresql partitions";

const DAY_US: i64 = 86_400_000_000;

/// What there is.
struct Found {
    is_partitioned_by_day: bool,
    may_make: bool,
    has_today: bool,
    has_tomorrow: bool,
}

/// The results about partitions.
pub(super) async fn check(client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT c.relkind = 'p' AND pg_get_partkeydef(c.oid) = 'RANGE (received_at)',
            coalesce(has_function_privilege(to_regprocedure('ingest_make_partitions(date)'), 'EXECUTE'), false)
        FROM pg_class c WHERE c.oid = to_regclass('raw_events')";
    let Some(row) = client.query_opt(SQL, &[]).await? else { return Ok(Vec::new()) };
    let is_partitioned_by_day = row.get::<_, Option<bool>>(0).unwrap_or(false);
    let mut found = Found { is_partitioned_by_day, may_make: row.get(1), has_today: true, has_tomorrow: true };
    if is_partitioned_by_day {
        let now = now_us();
        found.has_today = partitions::has_place(client, now).await?;
        found.has_tomorrow = partitions::has_place(client, now + DAY_US).await?;
    }
    Ok(vec![assess(&found)])
}

fn assess(found: &Found) -> CheckResult {
    let advice = "GRANT EXECUTE ON FUNCTION ingest_make_partitions(date) to the node's role (docs/rights.md)";
    let days = match (found.has_today, found.has_tomorrow) {
        (true, true) => None,
        (true, false) => Some("tomorrow"),
        (false, true) => Some("today"),
        (false, false) => Some("today and tomorrow"),
    };
    match (found.is_partitioned_by_day, found.may_make, days) {
        (false, ..) => CheckResult::warn(
            ABOUT,
            "raw_events is not partitioned by received_at: old rows can only be deleted one by one",
            "move its rows into a table that `migrate` makes, when there is a quiet hour",
        ),
        (true, true, None) => CheckResult::ok(ABOUT, "there is a place for today's and tomorrow's rows"),
        (true, true, Some(days)) => CheckResult::ok(ABOUT, format!("none for {days} yet; `run` makes them")),
        (true, false, None) => {
            CheckResult::warn(ABOUT, "the role can't make partitions: rows beyond those that exist are held", advice)
        }
        (true, false, Some(days)) => CheckResult::err(
            ABOUT,
            format!("there is none for {days}, and the role can't make partitions: rows are held"),
            advice,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn a_missing_day_is_an_error_only_where_nobody_makes_it() {
        let level = |may_make, has_today, has_tomorrow| {
            assess(&Found { is_partitioned_by_day: true, may_make, has_today, has_tomorrow }).level
        };
        assert_eq!([level(true, true, true), level(true, false, false)], [Level::Ok; 2]);
        assert_eq!([level(false, true, true), level(false, true, false)], [Level::Warn, Level::Err]);
    }
}
