//! The command's own connection to PostgreSQL, and the lock on it that keeps a second run away.

use std::time::Duration;

use tokio_postgres::{Client, Config, Error};

use crate::sentence::sentence;
use crate::sink::postgres::pool;

/// Bound on one statement; a page of rows takes milliseconds.
const BOUND: Duration = Duration::from_secs(60);

/// First key of the advisory locks; the second is the backfill's number.
const LOCKS: i32 = 0x696e_6762;

/// Connects when it is used, and again after any failure.
pub struct Session {
    config: Config,
    client: Option<Client>,
    /// The backfill that this run alone works on.
    held: Option<i32>,
}

impl Session {
    /// Not connected yet.
    pub fn new(config: Config) -> Self {
        Self { config, client: None, held: None }
    }

    /// Does `work` over the connection.
    ///
    /// # Errors
    /// PostgreSQL's words, when it does not answer in time or refuses.
    pub async fn run<T>(&mut self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, String> {
        let attempt = async {
            let client = match self.client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect().await?,
            };
            let result = work(&client).await.map_err(|error| sentence(&error))?;
            // Only now: a connection on which something failed, or that is still busy, is not used again.
            self.client = Some(client);
            Ok(result)
        };
        let answered = tokio::time::timeout(BOUND, attempt).await;
        answered.unwrap_or_else(|_| Err(format!("no answer within {} s", BOUND.as_secs())))
    }

    /// Takes a backfill for this run alone; whether it is free. The lock goes with the connection, whatever ends it.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn hold(&mut self, id: i32) -> Result<bool, String> {
        let is_free = self.run(async |client| try_lock(client, id).await).await?;
        self.held = is_free.then_some(id);
        Ok(is_free)
    }

    /// Gives the backfill free. Should this fail, the connection is gone and the lock with it.
    pub async fn release(&mut self) {
        if let Some(id) = self.held.take() {
            const SQL: &str = "SELECT pg_advisory_unlock($1, $2)";
            let _ = self.run(async |client| client.query_one(SQL, &[&LOCKS, &id]).await).await;
        }
    }

    async fn connect(&self) -> Result<Client, String> {
        let client = pool::connect(&self.config).await.map_err(|error| sentence(&error))?;
        // The server gives up where the client already has.
        let setup = format!("SET statement_timeout = {}; SET timezone = 'UTC'", BOUND.as_millis());
        client.batch_execute(&setup).await.map_err(|error| sentence(&error))?;
        match self.held {
            Some(id) if !try_lock(&client, id).await.map_err(|error| sentence(&error))? => {
                Err("the lock on this backfill is still held elsewhere".to_owned())
            }
            _ => Ok(client),
        }
    }
}

async fn try_lock(client: &Client, id: i32) -> Result<bool, Error> {
    let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCKS, &id]).await?;
    Ok(row.get(0))
}
