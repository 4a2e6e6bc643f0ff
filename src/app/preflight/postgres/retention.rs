//! Retention: whether what the settings ask for can be done.

use tokio_postgres::{Client, Error};

use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::postgres::partitions;

const ABOUT: &str = "postgresql retention";

/// What there is.
struct Found {
    is_divided: bool,
    may_drop: bool,
    is_owner: bool,
    role: String,
}

/// The results about retention; none where nothing is asked for. The rights on tables are among the others.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT coalesce(has_function_privilege(to_regprocedure('ingest_drop_partition(text)'), 'EXECUTE'), false),
            pg_has_role(relowner, 'USAGE'), quote_ident(current_user)
        FROM pg_class WHERE oid = to_regclass('raw_events')";
    if !config.retention.is_on() {
        return Ok(Vec::new());
    }
    let Some(row) = client.query_opt(SQL, &[]).await? else { return Ok(Vec::new()) };
    let is_divided = partitions::are_by_received_at(client).await?;
    let found = Found { is_divided, may_drop: row.get(0), is_owner: row.get(1), role: row.get(2) };
    Ok(assess(config, &found))
}

fn assess(config: &Config, found: &Found) -> Vec<CheckResult> {
    let (drops, indexes) = (config.retention.raw_events_days.is_some(), config.retention.reader_index);
    let mut results = Vec::new();
    if (drops || indexes) && !found.is_divided {
        results.push(CheckResult::warn(
            ABOUT,
            "raw_events is not partitioned by received_at: no row is dropped, and no index made",
            "move its rows into a table that `migrate` makes, when there is a quiet hour",
        ));
    }
    if drops && !found.may_drop {
        results.push(CheckResult::err(
            ABOUT,
            "the role may not drop old partitions: rows are kept until the disk is full",
            format!("GRANT EXECUTE ON FUNCTION ingest_drop_partition(text) TO {} (docs/rights.md)", found.role),
        ));
    }
    if indexes && !found.is_owner {
        results.push(CheckResult::err(
            ABOUT,
            "RAW_EVENTS_READER_INDEX is on, and the role does not own raw_events: no index is made",
            "run the node as a member of the table's owner, or leave the setting out (docs/rights.md)",
        ));
    }
    if results.is_empty() {
        let days = |days: Option<u32>| days.map_or("for ever".to_owned(), |days| format!("for {days} days"));
        let (rows, rejections) = (days(config.retention.raw_events_days), days(config.retention.quarantine_days));
        results.push(CheckResult::ok(ABOUT, format!("rows are kept {rows}, rejected messages {rejections}")));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn only_what_is_asked_for_has_to_be_possible() {
        let found = |drops: Option<u32>, reader_index: bool, (is_divided, may_drop, is_owner): (bool, bool, bool)| {
            let mut config = Config::default();
            (config.retention.raw_events_days, config.retention.reader_index) = (drops, reader_index);
            let results = assess(&config, &Found { is_divided, may_drop, is_owner, role: "r".to_owned() });
            results.into_iter().map(|result| result.level).collect::<Vec<_>>()
        };
        assert_eq!(found(Some(30), true, (true, true, true)), [Level::Ok]);
        assert_eq!(found(Some(30), false, (true, false, false)), [Level::Err]);
        assert_eq!(found(None, true, (true, false, false)), [Level::Err]);
        assert_eq!(found(Some(30), true, (false, false, false)), [Level::Warn, Level::Err, Level::Err]);
        assert_eq!(found(None, false, (false, false, false)), [Level::Ok], "the quarantine alone");
    }
}
