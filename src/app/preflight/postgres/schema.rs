//! The schema: version, columns, what refuses rows later, and what the node relies on beside the columns.

use tokio_postgres::Client;

use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::postgres::schema::{self, SchemaError};
use crate::runtime::error_chain::error_chain;

const ABOUT: &str = "postgresql schema";

/// Tables whose rows decide what is accepted, or are decided by it: hidden rows are an error that holds.
const TABLES: [&str; 8] = [
    "raw_events",
    "quarantine_events",
    "device_registry",
    "subscriptions",
    "device_state",
    "device_sensors",
    "influx_outbox",
    "app_settings",
];

/// Whether there is a schema to look further at, and the results about it.
pub(super) async fn check(config: &Config, client: &Client) -> (bool, Vec<CheckResult>) {
    let mut results = Vec::new();
    let is_there = match schema::check_schema(client).await {
        Ok(()) => true,
        Err(error) => {
            results.push(describe(&error, config.postgres.auto_migrate));
            // `migrate` would refuse it.
            if matches!(error, SchemaError::Absent | SchemaError::Older { .. })
                && let Err(unfit) = schema::check_fitness(client).await
            {
                results.push(describe(&unfit, false));
            }
            matches!(error, SchemaError::Newer { .. } | SchemaError::Divergent { .. } | SchemaError::Columns(_))
        }
    };
    if !is_there {
        return (false, results);
    }
    match schema::warnings(client).await {
        Ok(sentences) => results.extend(sentences.iter().map(|sentence| {
            CheckResult::warn(
                ABOUT,
                sentence,
                "give the column a default, or let it be null (ALTER COLUMN .. DROP NOT NULL)",
            )
        })),
        Err(error) => results.push(CheckResult::err(ABOUT, error_chain(&error), "let the role read the catalog")),
    }
    match relied_upon(client).await {
        Ok(more) => results.extend(more),
        Err(error) => results.push(CheckResult::err(ABOUT, error_chain(&error), "let the role read the catalog")),
    }
    if results.is_empty() {
        results.push(CheckResult::ok(ABOUT, "as this version needs it"));
    }
    (true, results)
}

fn describe(error: &SchemaError, migrates: bool) -> CheckResult {
    let migrate = "run `ingest-node migrate`";
    match error {
        SchemaError::Absent if migrates => {
            CheckResult::ok(ABOUT, "the database has none yet; `run` makes it (AUTO_MIGRATE)")
        }
        SchemaError::Absent => CheckResult::err(ABOUT, "the database has none yet", migrate),
        SchemaError::Older { found, .. } if migrates => {
            CheckResult::ok(ABOUT, format!("version {found}; `run` migrates it (AUTO_MIGRATE)"))
        }
        SchemaError::Older { found, needed } => {
            CheckResult::err(ABOUT, format!("version {found} is older than this node's, {needed}"), migrate)
        }
        SchemaError::Newer { found, known } => CheckResult::err(
            ABOUT,
            format!("version {found} is newer than this node works with, {known}"),
            "run a newer node",
        ),
        SchemaError::Divergent { .. } => {
            CheckResult::err(ABOUT, error.to_string(), "use a database that this program has migrated")
        }
        SchemaError::Encoding { found } => CheckResult::err(
            ABOUT,
            format!("the database's encoding is {found}: text of devices is UTF-8"),
            "make a database with ENCODING 'UTF8' and move the tables",
        ),
        SchemaError::Columns(columns) => CheckResult::err(
            ABOUT,
            columns.join("; "),
            "change these columns to the types that are named (ALTER COLUMN .. TYPE)",
        ),
        SchemaError::Database(_) => {
            CheckResult::err(ABOUT, error_chain(error), "grant the role SELECT on ingest_node_schema_history")
        }
    }
}

/// Keys, triggers and policies.
async fn relied_upon(client: &Client) -> Result<Vec<CheckResult>, tokio_postgres::Error> {
    const KEY: &str = "
        SELECT coalesce(bool_or(i.indisvalid AND i.indisunique), false) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass('raw_events') AND c.relname = 'raw_events_delivery_key'";
    const TRIGGERS: &str = "
        SELECT t.tgrelid::regclass::text FROM pg_trigger t
        WHERE t.tgname LIKE 'ingest\\_notify\\_%' AND t.tgenabled IN ('D', 'R') GROUP BY 1 ORDER BY 1";
    const HIDDEN: &str = "
        SELECT t FROM unnest($1::text[]) AS t WHERE to_regclass(t) IS NOT NULL AND row_security_active(to_regclass(t)::oid)";
    let mut results = Vec::new();
    if !client.query_one(KEY, &[]).await?.get::<_, bool>(0) {
        results.push(CheckResult::err(
            ABOUT,
            "the unique index raw_events_delivery_key is missing or not valid: redelivered rows would be stored twice",
            "make it: CREATE UNIQUE INDEX raw_events_delivery_key ON raw_events (received_at, stream, stream_seq)",
        ));
    }
    for row in client.query(TRIGGERS, &[]).await? {
        let table: String = row.get(0);
        results.push(CheckResult::warn(
            ABOUT,
            format!("triggers of {table} are disabled: nodes learn of changes when AUTH_CACHE_TTL_SECONDS are over"),
            format!("ALTER TABLE {table} ENABLE TRIGGER USER"),
        ));
    }
    for row in client.query(HIDDEN, &[&TABLES.as_slice()]).await? {
        let table: String = row.get(0);
        results.push(CheckResult::err(
            ABOUT,
            format!("row security of {table} hides rows from the role: every use of the table is an error"),
            "ALTER ROLE .. BYPASSRLS for the node's role, or a policy for it that shows every row and no FORCE ROW LEVEL SECURITY",
        ));
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn what_run_migrates_by_itself_is_no_error() {
        let older = SchemaError::Older { found: 7, needed: 8 };
        assert_eq!((describe(&older, true).level, describe(&older, false).level), (Level::Ok, Level::Err));
        assert_eq!(describe(&SchemaError::Absent, false).advice.as_deref(), Some("run `ingest-node migrate`"));
        assert_eq!(describe(&SchemaError::Newer { found: 10, known: 8 }, true).level, Level::Err);
    }
}
