//! Durability: what a commit is worth after a crash, or a failover.

use tokio_postgres::{Client, Error};

use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::runtime::postgres_url::PostgresUrl;

const ABOUT: &str = "postgresql durability";

/// Transaction ids in use beyond which a server comes close to refusing writes (it does at some 2.1 thousand million).
const OLD: i64 = 1_500_000_000;

/// What decides it.
struct Found {
    fsync: bool,
    full_page_writes: bool,
    /// As it comes without the session's own setting.
    synchronous_commit: String,
    autovacuum: bool,
    synchronous_standbys: String,
    standbys: i64,
    oldest: i64,
    hosts: usize,
}

/// The results about durability.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
            (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'),
            current_setting('autovacuum') = 'on', current_setting('synchronous_standby_names'),
            (SELECT count(*) FROM pg_stat_replication),
            (SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database())";
    let row = client.query_one(SQL, &[]).await?;
    let url = PostgresUrl::parse(&config.postgres.url.expose());
    Ok(assess(&Found {
        fsync: row.get(0),
        full_page_writes: row.get(1),
        synchronous_commit: row.get(2),
        autovacuum: row.get(3),
        synchronous_standbys: row.get(4),
        standbys: row.get(5),
        oldest: row.get(6),
        hosts: url.map_or(1, |url| url.driver.get_hosts().len()),
    }))
}

fn assess(found: &Found) -> Vec<CheckResult> {
    let mut results = Vec::new();
    if !found.fsync {
        results.push(CheckResult::err(
            ABOUT,
            "fsync is off: after a crash of the machine acknowledged messages are gone, or the whole database",
            "ALTER SYSTEM SET fsync = on, and reload",
        ));
    }
    if !found.full_page_writes {
        results.push(CheckResult::warn(
            ABOUT,
            "full_page_writes is off: a crash may leave torn pages",
            "ALTER SYSTEM SET full_page_writes = on, and reload, unless the file system writes whole pages",
        ));
    }
    if found.synchronous_commit == "off" {
        results.push(CheckResult::warn(
            ABOUT,
            "synchronous_commit is off: the node sets it to on for itself, other services' commits may be lost",
            "set synchronous_commit = on for role, database and server",
        ));
    }
    if found.synchronous_standbys.trim().is_empty() && (found.hosts > 1 || found.standbys > 0) {
        let sentence = "no standby is synchronous: a failover loses rows whose messages are acknowledged";
        let advice = "set synchronous_standby_names, with two standbys or more so that one may fail";
        results.push(match found.hosts > 1 {
            true => CheckResult::err(ABOUT, format!("{} hosts, and {sentence}", found.hosts), advice),
            false => CheckResult::warn(ABOUT, format!("{} standbys, and {sentence}", found.standbys), advice),
        });
    }
    if !found.autovacuum {
        results.push(CheckResult::warn(
            ABOUT,
            "autovacuum is off: the outbox and the derived state grow without bound",
            "ALTER SYSTEM SET autovacuum = on, and reload",
        ));
    }
    if found.oldest > OLD {
        results.push(CheckResult::err(
            ABOUT,
            format!(
                "the oldest transaction id is {} old: at some 2,100,000,000 the server refuses writes",
                found.oldest
            ),
            "VACUUM FREEZE, and see what holds it back (prepared transactions, replication slots)",
        ));
    }
    if results.is_empty() {
        results.push(CheckResult::ok(ABOUT, "a commit is on disk"));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    fn found(change: impl FnOnce(&mut Found)) -> Vec<(Level, String)> {
        let mut found = Found {
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            autovacuum: true,
            synchronous_standbys: String::new(),
            standbys: 0,
            oldest: 1_000,
            hosts: 1,
        };
        change(&mut found);
        assess(&found).into_iter().map(|result| (result.level, result.found)).collect()
    }

    #[test]
    fn a_lone_durable_server_is_as_it_should_be() {
        assert_eq!(found(|_| {})[0].0, Level::Ok);
        assert_eq!(found(|found| found.synchronous_commit = "remote_apply".to_owned())[0].0, Level::Ok);
    }

    #[test]
    fn standbys_that_nobody_waits_for_are_said_and_several_hosts_are_worse() {
        assert!(matches!(&found(|found| found.standbys = 1)[..], [(Level::Warn, text)] if text.contains("1 standbys")));
        assert!(matches!(&found(|found| found.hosts = 2)[..], [(Level::Err, text)] if text.contains("2 hosts")));
        let waited_for = found(|found| (found.hosts, found.synchronous_standbys) = (2, "ANY 1 (a, b)".to_owned()));
        assert_eq!(waited_for[0].0, Level::Ok);
    }

    #[test]
    fn old_transaction_ids_are_said_in_time() {
        assert_eq!(found(|found| found.oldest = 1_600_000_000)[0].0, Level::Err);
    }
}
