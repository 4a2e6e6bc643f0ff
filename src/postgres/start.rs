//! The first meeting with PostgreSQL: waited for, and only then validated. `run` and `migrate` begin alike.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::config::Config;
use super::pool::{self, PoolError};
use super::schema;
use super::session::ConnectError;
use crate::runtime::exit::Exit;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a start ends here.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] PoolError),
    /// PostgreSQL was not there within the bound.
    #[error("PostgreSQL did not answer within {secs} s")]
    Away {
        /// The bound.
        secs: u64,
        /// How the last attempt failed.
        #[source]
        last: ConnectError,
    },
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
            StartError::Url(_) => Exit::Config,
            StartError::Away { .. } => Exit::Unavailable,
            StartError::Schema(error) => error.exit(),
            StartError::Migrate(error) => error.exit(),
        }
    }
}

/// Connects, trying until `start_wait_secs` are over; `waiting` hears of every attempt that failed.
///
/// # Errors
/// When the URL can't be read, or the bound is over.
pub(crate) async fn connect(config: &Config, mut waiting: impl FnMut(&ConnectError)) -> Result<Client, StartError> {
    let connection = pool::connection_config(config)?;
    let (began, secs) = (Instant::now(), config.start_wait_secs);
    let deadline = began + Duration::from_secs(secs);
    let mut pause = FIRST_PAUSE;
    loop {
        // A server that accepts and says nothing may take no longer than one that is not there.
        let attempt = tokio::time::timeout_at(deadline, pool::connect(&connection)).await;
        let last = match attempt.unwrap_or_else(|_| Err(ConnectError::Silent(began.elapsed()))) {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() + pause >= deadline => error,
            Err(error) => {
                waiting(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        return Err(StartError::Away { secs, last });
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
    pub migrated: Option<schema::Report>,
    /// What will make single rows, or all of them, fail later.
    pub warnings: Vec<String>,
}
