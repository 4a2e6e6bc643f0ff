//! Connections: what the nodes need at most, and what server, database and role allow.

use tokio_postgres::{Client, Error};

use crate::app::admin;
use crate::app::preflight::result::CheckResult;
use crate::config::Config;

const ABOUT: &str = "postgresql connections";

/// Connections of a node beside its pool: LISTEN, outbox, and those of a restart. Retention has one more.
const BESIDE_THE_POOL: i64 = 4;

/// What there is.
struct Found {
    /// For those who are no superusers.
    server: i64,
    /// -1 = no limit.
    role: i64,
    database: i64,
    /// Nodes that were seen lately.
    nodes: i64,
}

/// The results about connections.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
            (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user),
            (SELECT datconnlimit::bigint FROM pg_database WHERE datname = current_database()),
            to_regclass('ingest_nodes') IS NOT NULL AND has_table_privilege(to_regclass('ingest_nodes'), 'SELECT')";
    const NODES: &str = "SELECT count(*) FROM ingest_nodes WHERE seen_at > now() - interval '1 minute'";
    let row = client.query_one(SQL, &[]).await?;
    let nodes = match row.get::<_, Option<bool>>(3) {
        Some(true) => client.query_one(NODES, &[]).await?.get(0),
        _ => 0,
    };
    let found = Found { server: row.get(0), role: row.get(1), database: row.get(2), nodes };
    let pool = i64::try_from(config.postgres.pool_max).unwrap_or(i64::MAX);
    let of_admin = if config.admin.key.is_empty() { 0 } else { admin::CONNECTIONS as i64 };
    Ok(assess(&found, pool, BESIDE_THE_POOL + of_admin + i64::from(config.retention.is_on())))
}

fn assess(found: &Found, pool_max: i64, beside: i64) -> Vec<CheckResult> {
    let nodes = found.nodes.max(1);
    let each = pool_max.saturating_add(beside);
    let needed = each.saturating_mul(nodes);
    let limits = [
        ("max_connections allows", found.server, "raise max_connections"),
        ("the role may have", found.role, "ALTER ROLE .. CONNECTION LIMIT -1, or enough for all nodes"),
        ("the database takes", found.database, "ALTER DATABASE .. CONNECTION LIMIT -1, or enough for all nodes"),
    ];
    let results: Vec<CheckResult> = limits
        .iter()
        .filter(|(_, most, _)| *most >= 0 && *most < needed)
        .map(|(what, most, advice)| {
            let nodes = if nodes == 1 { "one node needs".to_owned() } else { format!("{nodes} nodes need") };
            let found = format!("{what} {most}, {nodes} up to {needed} (PG_POOL_MAX + {beside} each)");
            let advice = format!("{advice}, or lower PG_POOL_MAX");
            if *most < each { CheckResult::err(ABOUT, found, advice) } else { CheckResult::warn(ABOUT, found, advice) }
        })
        .collect();
    if results.is_empty() {
        return vec![CheckResult::ok(ABOUT, format!("{needed} are needed, {} allowed", found.server))];
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn each_limit_below_the_need_is_named() {
        let levels = |server, role, database, nodes| {
            let found = assess(&Found { server, role, database, nodes }, 10, 4);
            found.into_iter().map(|result| result.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(97, -1, -1, 0), [Level::Ok]);
        assert_eq!(levels(97, 5, 13, 1), [Level::Err, Level::Err]);
        assert_eq!(levels(97, -1, -1, 7), [Level::Warn], "98 are needed");
        assert_eq!(levels(13, 14, -1, 1), [Level::Err]);
    }
}
