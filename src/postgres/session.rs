//! Every session of the node with PostgreSQL, pooled or not: how it is opened, and the settings that it gets first.
//!
//! Roles and databases carry settings of their own (`ALTER ROLE .. SET`). Those that could change what a statement of the
//! node means, or end it early, are set here; a read-only default stays, because it is how an operator stops writers.

use std::time::Duration;

use thiserror::Error;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};

/// Longest wait for a TCP connection to one host: a host that swallows packets becomes a fault that passes.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the log-in and the set-up behind it: a server that accepts and says nothing is away.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing came back within the bound.
    #[error("no answer to a connection attempt within {} s", .0.as_secs())]
    Silent(Duration),
    /// The server can't be reached, or refuses.
    #[error(transparent)]
    Refused(#[from] tokio_postgres::Error),
}

/// Opens a connection outside the pool and sets it up; it ends when the client is dropped. The server ends statements
/// that take longer than `statement_timeout`.
///
/// # Errors
/// When PostgreSQL does not answer or does not let the node in.
pub async fn open(config: &Config, statement_timeout: Duration) -> Result<Client, ConnectError> {
    within(bound(config), async {
        let (client, connection) = config.connect(NoTls).await?;
        // Its errors reach whoever uses the client.
        tokio::spawn(async move { drop(connection.await) });
        set_up(&client, statement_timeout).await?;
        Ok(client)
    })
    .await
}

/// Opens a connection whose messages the caller reads, and which the caller sets up.
///
/// # Errors
/// As [`open`].
pub(crate) async fn dial(config: &Config) -> Result<(Client, Connection<Socket, NoTlsStream>), ConnectError> {
    within(bound(config), async { Ok(config.connect(NoTls).await?) }).await
}

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

/// Longest time that [`open`] takes: all hosts of the URL are tried in turn.
pub(crate) fn bound(config: &Config) -> Duration {
    let each = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    each.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX)).saturating_add(HANDSHAKE_TIMEOUT)
}

async fn within<T>(bound: Duration, attempt: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
    tokio::time::timeout(bound, attempt).await.unwrap_or(Err(ConnectError::Silent(bound)))
}
