//! The server: version, clock, whether it can be written to.

use tokio_postgres::{Client, Error};

use crate::app::preflight::clock::{Clocks, ahead, now_us};
use crate::app::preflight::result::CheckResult;
use crate::postgres::types::UnixMicros;

const ABOUT: &str = "postgresql version";

/// Major versions before this one are supported by nobody.
const SUPPORTED: i32 = 13;

/// Version, clock and read-only state.
pub(super) async fn check(client: &Client, clocks: &Clocks) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT current_setting('server_version_num')::int, current_setting('server_version'), clock_timestamp(),
            pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user::text";
    let asked_us = now_us();
    let row = client.query_one(SQL, &[]).await?;
    let now: UnixMicros = row.get(2);
    clocks.postgres.set(Some(ahead(asked_us, now.0, now_us())));
    let mut results = vec![version(row.get(0), row.get(1))];
    results.extend(read_only(row.get(3), row.get(4), row.get(5)));
    Ok(results)
}

fn version(number: i32, name: &str) -> CheckResult {
    let found = format!("PostgreSQL {name}");
    if number / 10_000 < SUPPORTED {
        return CheckResult::warn(
            ABOUT,
            found,
            format!("upgrade it: the node is tested with 15, and nobody maintains what is before {SUPPORTED}"),
        );
    }
    CheckResult::ok(ABOUT, found)
}

fn read_only(is_standby: bool, is_read_only: bool, role: &str) -> Option<CheckResult> {
    let about = "postgresql read-only";
    if is_standby {
        let advice = "name the primary in DATABASE_URL, or all servers with target_session_attrs=read-write";
        return Some(CheckResult::err(about, "the server is a standby: nothing can be written", advice));
    }
    is_read_only.then(|| {
        let advice = format!(
            "ALTER ROLE {role} SET default_transaction_read_only = off, or the same for the database or the server"
        );
        CheckResult::err(
            about,
            "transactions are read-only (default_transaction_read_only): nothing can be written",
            advice,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn unsupported_versions_are_said() {
        let level = |number| version(number, "x").level;
        assert_eq!([level(120_022), level(130_000), level(150_014)], [Level::Warn, Level::Ok, Level::Ok]);
    }

    #[test]
    fn a_server_that_takes_no_writes_is_an_error() {
        assert!(read_only(true, true, "r").is_some_and(|found| found.found.contains("standby")));
        assert!(read_only(false, true, "iot").is_some_and(|found| found.advice.unwrap().contains("ALTER ROLE iot")));
        assert_eq!(read_only(false, false, "r"), None);
    }
}
