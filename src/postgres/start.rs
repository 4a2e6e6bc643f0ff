//! How every command begins with PostgreSQL: `run` and `migrate` wait for it, the others try once; then the schema is checked.

use std::time::Duration;

use deadpool_postgres::BuildError;
use thiserror::Error;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::config::Config;
use super::connector::{ConnectError, Connector};
use super::schema;
use super::target::SettingsError;
use crate::runtime::exit::Exit;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Bound on a statement of a command that a person waits for: minutes are fine, for ever is not.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// Why a start ends here.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// The settings can't work.
    #[error(transparent)]
    Settings(SettingsError),
    /// Nor can those of the pool.
    #[error(transparent)]
    Pool(#[from] BuildError),
    /// Nothing came back within the bound, in seconds.
    #[error("PostgreSQL did not answer within {0} s")]
    Silent(u64),
    /// There was no connection within the bound.
    #[error("no connection to PostgreSQL within {secs} s")]
    Away {
        /// The bound.
        secs: u64,
        /// How the last attempt failed.
        #[source]
        last: ConnectError,
    },
    /// The one attempt of a command failed.
    #[error("PostgreSQL")]
    Refused(#[source] ConnectError),
    /// The database is not what the node needs.
    #[error(transparent)]
    Schema(#[from] schema::SchemaError),
    /// It could not be made so.
    #[error(transparent)]
    Migrate(#[from] schema::MigrateError),
}

impl StartError {
    /// How the process ends with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            StartError::Settings(_) | StartError::Pool(_) => Exit::Config,
            StartError::Silent(_) | StartError::Away { .. } | StartError::Refused(_) => Exit::Unavailable,
            StartError::Schema(error) => error.exit(),
            StartError::Migrate(error) => error.exit(),
        }
    }
}

impl From<ConnectError> for StartError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Settings(error) => Self::Settings(error),
            error => Self::Refused(error),
        }
    }
}

/// Opens a connection of a command's own; it ends when the client is dropped.
///
/// # Errors
/// When the settings can't work, or PostgreSQL does not answer or does not let the node in.
pub(crate) async fn open(config: &Config) -> Result<(Connector, Client), StartError> {
    let connector = Connector::new(config)?;
    let client = connector.open(COMMAND_TIMEOUT).await?;
    Ok((connector, client))
}

/// As [`open`], for commands that work on the node's tables.
///
/// # Errors
/// As [`open`], and when the database has another schema than this program works with.
pub(crate) async fn open_checked(config: &Config) -> Result<(Connector, Client), StartError> {
    let (connector, client) = open(config).await?;
    schema::check_schema(&client).await?;
    Ok((connector, client))
}

/// Connects, trying until `start_wait_secs` are over; `waiting` hears of every attempt that failed.
///
/// # Errors
/// When the settings can't work, or the bound is over.
pub(crate) async fn connect(
    config: &Config,
    mut waiting: impl FnMut(&ConnectError),
) -> Result<(Connector, Client), StartError> {
    let connector = Connector::new(config)?;
    let (began, secs) = (Instant::now(), config.start_wait_secs);
    let deadline = began + Duration::from_secs(secs);
    let mut pause = FIRST_PAUSE;
    loop {
        // A server that accepts and says nothing may take no longer than one that is not there.
        let attempt = tokio::time::timeout_at(deadline, connector.open(COMMAND_TIMEOUT)).await;
        let last = match attempt.unwrap_or_else(|_| Err(ConnectError::Silent(began.elapsed()))) {
            Ok(client) => return Ok((connector, client)),
            Err(error) if Instant::now() + pause >= deadline => error,
            Err(error) => {
                waiting(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        return Err(match last {
            ConnectError::Silent(_) => StartError::Silent(secs),
            last => StartError::Away { secs, last },
        });
    }
}

/// Checks the schema of a database that answers; migrates it first where that is asked for.
///
/// # Errors
/// When the database is not, and could not be made, what the node needs.
pub(crate) async fn prepare(client: &mut Client, config: &Config) -> Result<Prepared, StartError> {
    let migrated = match config.auto_migrate {
        true => Some(schema::migrate(client).await?),
        false => None,
    };
    schema::check_schema(client).await?;
    let warnings = schema::warnings(client).await?;
    Ok(Prepared { migrated, warnings })
}

/// A database that the node can work with.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What was migrated, where that was asked for.
    pub migrated: Option<schema::MigrationReport>,
    /// What will make single rows, or all of them, fail later.
    pub warnings: Vec<String>,
}
