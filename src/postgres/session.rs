//! Every session of the node with PostgreSQL, pooled or not: the settings that it gets first.
//!
//! Roles and databases carry settings of their own (`ALTER ROLE .. SET`). Those that could change what a statement of the
//! node means, or end it early, are set here; a read-only default stays, because it is how an operator stops writers.

use std::time::Duration;

use tokio_postgres::Client;

/// Longest wait for a TCP connection to one host: a host that swallows packets becomes a fault that passes.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the log-in and the set-up behind it: a server that accepts and says nothing is away.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What every session is set to. Names that the server's version does not know yet are left out.
const SETTINGS: &str = "
SELECT set_config(s.name, v.value, false)
FROM (VALUES
    -- A role that would not see every row gets an error, which is held, instead of an empty answer, which would be taken
    -- for a device that is not registered.
    ('row_security', 'off'),
    -- The node's statements are written for it; others fail where this one waits.
    ('default_transaction_isolation', 'read committed'),
    ('timezone', 'UTC'),
    ('datestyle', 'ISO, MDY'),
    ('standard_conforming_strings', 'on'),
    ('client_min_messages', 'warning'),
    -- Time-outs of the role that are shorter than the node's own.
    ('transaction_timeout', '0'),
    ('idle_session_timeout', '0'),
    -- A host that dies in the middle of a statement holds its backend, its locks and the xmin horizon no longer than this.
    ('tcp_keepalives_idle', '10'),
    ('tcp_keepalives_interval', '5'),
    ('tcp_keepalives_count', '3'),
    ('tcp_user_timeout', '30000')
) AS v (name, value)
JOIN pg_settings s ON lower(s.name) = v.name";

/// A commit is durable before it is acknowledged. Stricter settings (a synchronous standby) are the operator's.
const SYNCHRONOUS_COMMIT: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The schema that holds the node's tables comes first: the one with the history of its migrations, else the one with the
/// platform's registry, else where the role's own path leads. What the path names stays behind it, for the functions of
/// others' triggers, and temporary tables come last: no table of the same name ahead in the path is taken for the node's.
const SEARCH_PATH: &str = "
SELECT set_config('search_path', concat_ws(', ',
    quote_ident(coalesce(
        (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relname IN ('ingest_node_schema_history', 'device_registry') AND c.relkind IN ('r', 'p')
         ORDER BY c.relname = 'ingest_node_schema_history' DESC, array_position(current_schemas(false), n.nspname),
             n.nspname <> 'public', n.nspname
         LIMIT 1),
        current_schema(), 'public')),
    nullif(current_setting('search_path'), ''), 'pg_temp'), false)";

/// Gives a fresh session its settings.
///
/// # Errors
/// When PostgreSQL does not answer or refuses.
pub(crate) async fn set_up(client: &Client, statement_timeout: Duration) -> Result<(), tokio_postgres::Error> {
    let timeout_ms = statement_timeout.as_millis().clamp(1, i32::MAX as u128 / 2);
    // In a message of its own: the role's own time-out may be shorter than what follows takes. The server gives up where
    // the client already has: a backend that waits for a lock does not notice that its client is gone.
    let timeouts = format!(
        "SET statement_timeout = {timeout_ms}; SET lock_timeout = 0; \
         SET idle_in_transaction_session_timeout = {}",
        timeout_ms * 2
    );
    client.batch_execute(&timeouts).await?;
    client.batch_execute(&format!("{SETTINGS}; {SYNCHRONOUS_COMMIT}; {SEARCH_PATH}")).await
}
