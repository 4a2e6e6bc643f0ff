//! The schema: embedded migrations, and the check that the database is one that this node can work with.

use refinery::Runner;
use thiserror::Error;
use tokio_postgres::Client;

use super::columns;
use crate::runtime::exit::Exit;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Our own history table: the database is shared with services that keep theirs.
const HISTORY: &str = "ingest_node_schema_history";

/// Replicas that start together with `AUTO_MIGRATE=1` queue up on this advisory lock.
const MIGRATION_LOCK: i64 = 0x696e_6765_7374_0001;

/// A migration never waits longer for another service's lock than this: while it waits, that service's queries queue up.
const LOCK_TIMEOUT: &str = "30s";

/// A node works on a schema that is newer by so many versions: each version of the schema leaves what the node before it
/// reads and writes, so that a roll-out can be taken back.
const NEWER_VERSIONS: i64 = 1;

/// What a migration run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The migrations applied now, as `V{version}__{name}`.
    pub applied: Vec<String>,
    /// The schema version the database has now.
    pub version: i64,
}

/// Why a migration run failed.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The database did not answer or refused a statement.
    #[error("the database could not be prepared for the migration")]
    Database(#[source] tokio_postgres::Error),
    /// A migration failed, or the database's history does not match ours.
    #[error("the migration failed")]
    Migration(#[source] refinery::Error),
    /// The database is none that the node could ever work with.
    #[error(transparent)]
    Unfit(#[from] SchemaError),
}

/// Why the schema can't be worked with.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// No migration has ever run here.
    #[error("the database has no schema yet; run `ingest-node migrate` first, or set AUTO_MIGRATE=1")]
    Absent,
    /// Migrations are missing.
    #[error("the database has schema version {found}, this node needs {needed}; run `ingest-node migrate` first")]
    Older {
        /// The database's version.
        found: i64,
        /// Ours.
        needed: i64,
    },
    /// A node that is newer by more than one version has migrated it.
    #[error("the database has schema version {found}, this node knows only {known}; run a newer node")]
    Newer {
        /// The database's version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A migration of our number but with other contents was applied.
    #[error("migration {version} of the database is not the one this node knows")]
    Divergent {
        /// Which one.
        version: i64,
    },
    /// Text of devices is UTF-8; a database of another encoding holds some of it, and none of the rest.
    #[error(
        "the database's encoding is {found}; this node needs one with encoding UTF8 (CREATE DATABASE .. ENCODING 'UTF8')"
    )]
    Encoding {
        /// `server_encoding`.
        found: String,
    },
    /// Columns that hold nothing of what the node writes.
    #[error("the database's tables can't hold what this node writes: {}", .0.join("; "))]
    Columns(Vec<String>),
    /// The database did not answer.
    #[error("the schema could not be read")]
    Database(#[source] tokio_postgres::Error),
}

impl SchemaError {
    /// How a process that can't go on ends.
    pub fn exit(&self) -> Exit {
        match self {
            SchemaError::Database(_) => Exit::Unavailable,
            _ => Exit::Config,
        }
    }
}

/// Brings the database to this node's schema, unless a newer node has been there before. Safe to run from several replicas
/// at once and on every start. The connection should be one of its own ([`super::connector::Connector::open`]).
///
/// # Errors
/// When the database is away or can't hold what the node writes (then nothing is changed), a migration fails (it is rolled
/// back as a whole), or the history is not ours.
pub async fn migrate(client: &mut Client) -> Result<MigrationReport, MigrateError> {
    check_fitness(client).await?;
    let timeout = client.query_one("SELECT current_setting('statement_timeout')", &[]).await;
    let timeout: String = timeout.map_err(MigrateError::Database)?.get(0);
    // Waiting for another replica's migration, or building an index on a large table, takes the time it takes.
    client.batch_execute("SET statement_timeout = 0").await.map_err(MigrateError::Database)?;
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.map_err(MigrateError::Database)?;
    let result = migrate_locked(client).await;
    // Should this fail, the connection is gone and the lock with it.
    let _ = client.batch_execute(&format!("SET statement_timeout = '{timeout}'; SET lock_timeout = 0")).await;
    let _ = client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await;
    result
}

async fn migrate_locked(client: &mut Client) -> Result<MigrationReport, MigrateError> {
    // "already exists, skipping" is what the migrations are written for, and nothing to report.
    let prepare = format!("SET lock_timeout = '{LOCK_TIMEOUT}'; SET client_min_messages = 'warning'");
    client.batch_execute(&prepare).await.map_err(MigrateError::Database)?;
    let runner = runner();
    let known = latest(&runner);
    let found = applied(client).await?.last().map_or(0, |(version, _)| *version);
    if found > known + NEWER_VERSIONS {
        return Err(SchemaError::Newer { found, known }.into());
    }
    if found > known {
        // A node that was rolled back: there is nothing to add to what the newer one has made.
        return Ok(MigrationReport { applied: Vec::new(), version: found });
    }
    let report = runner.run_async(client).await.map_err(MigrateError::Migration)?;
    Ok(MigrationReport {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        version: known,
    })
}

/// Whether the node can work with the database: it has this node's schema or the one after it, and can hold what is written.
///
/// # Errors
/// When it has none, an older, a newer or a different one, can't hold what is written, or does not answer.
pub async fn check_schema(client: &Client) -> Result<(), SchemaError> {
    let applied = applied(client).await?;
    let runner = runner();
    let known = latest(&runner);
    let found = applied.last().map(|(version, _)| *version).ok_or(SchemaError::Absent)?;
    if found < known {
        return Err(SchemaError::Older { found, needed: known });
    }
    if found > known + NEWER_VERSIONS {
        return Err(SchemaError::Newer { found, known });
    }
    for migration in runner.get_migrations() {
        let version = i64::from(migration.version());
        let checksum = migration.checksum().to_string();
        if !applied.iter().any(|(v, c)| *v == version && *c == checksum) {
            return Err(SchemaError::Divergent { version });
        }
    }
    check_fitness(client).await
}

/// What will make rows fail later although the schema is right, one sentence each.
///
/// # Errors
/// When the database does not answer.
pub async fn warnings(client: &Client) -> Result<Vec<String>, SchemaError> {
    columns::demanding(client).await.map_err(SchemaError::Database)
}

/// Whether the database and those tables that exist can hold what the node writes.
///
/// # Errors
/// When they can't, or the database does not answer.
pub(crate) async fn check_fitness(client: &Client) -> Result<(), SchemaError> {
    let encoding = client.query_one("SELECT current_setting('server_encoding')", &[]).await;
    let found: String = encoding.map_err(SchemaError::Database)?.get(0);
    if found != "UTF8" {
        return Err(SchemaError::Encoding { found });
    }
    let unfit = columns::unfit(client).await.map_err(SchemaError::Database)?;
    if unfit.is_empty() { Ok(()) } else { Err(SchemaError::Columns(unfit)) }
}

/// The migrations that the database has, in order, with their checksums; none where it has no history.
async fn applied(client: &Client) -> Result<Vec<(i64, String)>, SchemaError> {
    let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY]).await;
    if !exists.map_err(SchemaError::Database)?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let query = format!("SELECT version::bigint, checksum FROM {HISTORY} ORDER BY version");
    let rows = client.query(&query, &[]).await.map_err(SchemaError::Database)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

impl MigrateError {
    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            MigrateError::Unfit(error) => error.exit(),
            MigrateError::Database(_) | MigrateError::Migration(_) => Exit::Unavailable,
        }
    }
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    runner
}

fn latest(runner: &Runner) -> i64 {
    runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0)
}
