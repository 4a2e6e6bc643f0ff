//! Rights of the role: on each table what the node does with it (docs/rights.md).

use tokio_postgres::{Client, Error};

use crate::app::preflight::result::CheckResult;
use crate::config::Config;

const ABOUT: &str = "postgresql rights";

/// Tables, and the rights that the node needs on each.
const NEEDED: [(&str, &str); 18] = [
    ("raw_events", "SELECT, INSERT"),
    ("quarantine_events", "SELECT, INSERT"),
    ("quarantine_counters_minute", "SELECT, INSERT, UPDATE"),
    ("device_registry", "SELECT, UPDATE"),
    ("device_commands", "SELECT, UPDATE"),
    ("device_state", "SELECT, INSERT, UPDATE"),
    ("device_sensors", "SELECT, INSERT, UPDATE"),
    ("influx_outbox", "SELECT, INSERT, UPDATE, DELETE"),
    ("ingest_nodes", "SELECT, INSERT, UPDATE, DELETE"),
    ("subscriptions", "SELECT"),
    ("device_tiers", "SELECT"),
    ("device_modules", "SELECT"),
    ("device_certificates", "SELECT"),
    ("message_routes", "SELECT"),
    ("app_settings", "SELECT"),
    ("ingest_node_schema_history", "SELECT"),
    ("ingest_node.secrets", "SELECT"),
    // With AUTO_PROVISION only, see `needed`.
    ("subscriptions", "UPDATE"),
];

/// The results about rights.
pub(super) async fn check(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    let mut results = tables(config, client).await?;
    results.extend(sequences(client).await?);
    let role: String = client.query_one("SELECT quote_ident(current_user)", &[]).await?.get(0);
    let database = "SELECT has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_database())";
    let row = client.query_one(database, &[]).await?;
    if !row.get::<_, bool>(0) {
        results.push(CheckResult::err(
            ABOUT,
            "the role may make no temporary tables: redelivered rows can't be staged",
            format!("GRANT TEMPORARY ON DATABASE {} TO {role}", row.get::<_, String>(1)),
        ));
    }
    let listen = client.batch_execute("LISTEN ingest_node_doctor; UNLISTEN ingest_node_doctor").await;
    if let Err(error) = listen {
        let found = format!("LISTEN is refused: {}", crate::runtime::error_chain::error_chain(&error));
        results.push(CheckResult::err(
            ABOUT,
            found,
            "connect to the primary, and not through a pooler in transaction mode",
        ));
    }
    if results.is_empty() {
        results.push(CheckResult::ok(ABOUT, format!("{role} may do what the node does")));
    }
    Ok(results)
}

/// What is needed with these settings.
fn needed(config: &Config) -> Vec<(&'static str, &'static str)> {
    let mut all = NEEDED.to_vec();
    let of_provisioning = all.pop();
    if config.registry.auto_provision {
        all.extend(of_provisioning);
        all.push(("device_registry", "INSERT"));
    }
    if !config.admin.key.is_empty() {
        all.push(("device_registry", "INSERT"));
        all.push(("device_activation", "SELECT, INSERT, UPDATE, DELETE"));
        all.push(("device_token_history", "INSERT"));
    }
    if config.retention.raw_events_days.is_some() {
        all.push(("influx_backfills", "SELECT"));
    }
    if config.retention.quarantine_days.is_some() {
        all.push(("quarantine_events", "DELETE"));
        all.push(("quarantine_counters_minute", "DELETE"));
    }
    all
}

async fn tables(config: &Config, client: &Client) -> Result<Vec<CheckResult>, Error> {
    // A table's privilege is of no use without its schema's. A partition's rights are those of the table it is reached by.
    const SQL: &str = "
        SELECT w.tbl, string_agg(p.right_, ', ' ORDER BY p.place), quote_ident(current_user),
            bool_and(has_schema_privilege(c.relnamespace, 'USAGE')), c.relnamespace::regnamespace::text
        FROM unnest($1::text[], $2::text[]) AS w (tbl, rights)
        CROSS JOIN unnest(string_to_array(w.rights, ', ')) WITH ORDINALITY AS p (right_, place)
        JOIN (SELECT c.oid, c.relnamespace, c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) c
            ON CASE WHEN position('.' IN w.tbl) > 0 THEN c.nspname || '.' || c.relname = w.tbl
               ELSE c.oid = to_regclass(w.tbl) END
        WHERE NOT has_table_privilege(c.oid, p.right_) OR NOT has_schema_privilege(c.relnamespace, 'USAGE')
        GROUP BY w.tbl, c.relnamespace
        ORDER BY w.tbl";
    let (tables, rights): (Vec<&str>, Vec<&str>) = needed(config).into_iter().unzip();
    let rows = client.query(SQL, &[&tables, &rights]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let [table, missing, role] = [0, 1, 2].map(|column| row.get::<_, String>(column));
            let (has_schema, schema): (bool, String) = (row.get(3), row.get(4));
            let found = format!("the role may not {missing} on {table}");
            let grant = format!("GRANT {missing} ON {table} TO {role}");
            let advice = match has_schema {
                true => grant,
                false => format!("GRANT USAGE ON SCHEMA {schema} TO {role}; {grant}"),
            };
            match &*table {
                "ingest_node.secrets" => {
                    let found = format!("{found}: no message of `quarantine replay` is trusted");
                    CheckResult::warn(ABOUT, found, advice)
                }
                _ => CheckResult::err(ABOUT, found, advice),
            }
        })
        .collect())
}

/// Sequences of the columns that number themselves.
async fn sequences(client: &Client) -> Result<Vec<CheckResult>, Error> {
    const SQL: &str = "
        SELECT s.oid::regclass::text, quote_ident(current_user)
        FROM pg_class s
        JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
        WHERE d.refobjid IN (
                SELECT to_regclass(t) FROM unnest(ARRAY ['quarantine_events', 'influx_outbox', 'device_sensors']) AS t)
            -- In this order: the function refuses what is no sequence.
            AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') ELSE false END
        ORDER BY 1";
    let rows = client.query(SQL, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let [sequence, role] = [0, 1].map(|column| row.get::<_, String>(column));
            let found = format!("the role may not use the sequence {sequence}: inserts fail");
            CheckResult::err(ABOUT, found, format!("GRANT USAGE ON SEQUENCE {sequence} TO {role}"))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    #[test]
    fn what_a_setting_switches_on_needs_more() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            needed(&config)
        };
        let provisioning = with(|config| config.registry.auto_provision = true);
        assert!(provisioning.contains(&("subscriptions", "UPDATE")));
        assert!(provisioning.contains(&("device_registry", "INSERT")));
        assert!(!provisioning.contains(&("device_token_history", "INSERT")));
        let admin = with(|config| config.admin.key = Secret::new("key"));
        assert!(admin.contains(&("device_token_history", "INSERT")) && !admin.contains(&("subscriptions", "UPDATE")));
        let retention = with(|config| config.retention.quarantine_days = Some(1));
        assert!(retention.contains(&("quarantine_events", "DELETE")));
        assert!(!retention.contains(&("influx_backfills", "SELECT")));
        assert!(with(|config| config.retention.raw_events_days = Some(1)).contains(&("influx_backfills", "SELECT")));
        assert_eq!(with(|_| {}).len(), NEEDED.len() - 1);
    }
}
