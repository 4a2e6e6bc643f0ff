//! The command's own connection to PostgreSQL, and the lock on it that keeps a second run away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

use super::stop::Stop;
use crate::postgres::connector::Connector;
use crate::runtime::error_chain::error_chain;

/// Bound on one statement; a page of rows takes milliseconds.
const BOUND: Duration = Duration::from_secs(60);

/// How much longer PostgreSQL may take once the command is told to stop.
const GRACE: Duration = Duration::from_millis(500);

/// First key of the advisory locks; the second is the backfill's number.
const LOCKS: i32 = 0x696e_6762;

/// Connects when it is used, and again after any failure.
pub(super) struct Session {
    connector: Connector,
    client: Option<Arc<Client>>,
    /// The backfill that this run alone works on.
    held: Option<i32>,
}

impl Session {
    /// Not connected yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, client: None, held: None }
    }

    /// Does `work` over the connection.
    ///
    /// # Errors
    /// PostgreSQL's words, when it does not answer in time or refuses.
    pub(super) async fn run<T>(&mut self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, String> {
        let attempt = async {
            let client = match self.client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => Arc::new(self.connect().await?),
            };
            let result = work(&client).await.map_err(|error| error_chain(&error))?;
            // Only now: a connection on which something failed, or that is still busy, is not used again.
            self.client = Some(client);
            Ok(result)
        };
        let answered = timeout(BOUND, attempt).await;
        answered.unwrap_or_else(|_| Err(format!("no answer within {} s", BOUND.as_secs())))
    }

    /// As [`Session::run`]; once told to stop, only a moment longer. What still runs then is cancelled, so that the
    /// connection, and the lock that goes with it, serve what is left to do.
    ///
    /// # Errors
    /// As [`Session::run`], and when it was told to stop.
    pub(super) async fn run_until<T>(
        &mut self,
        stop: &Stop,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, String> {
        let client = self.client.clone();
        let told = async {
            stop.reported(1).await;
            sleep(GRACE).await;
        };
        tokio::select! {
            answered = self.run(work) => return answered,
            () = told => {}
        }
        if let Some(client) = client {
            // Where even that gets no answer, the next statement gets none either.
            let _ = timeout(GRACE, self.connector.cancel(&client.cancel_token())).await;
            self.client = Some(client);
        }
        Err("told to stop before it answered".to_owned())
    }

    /// Takes a backfill for this run alone; whether it is free. The lock goes with the connection, whatever ends it.
    ///
    /// # Errors
    /// As [`Session::run_until`].
    pub(super) async fn hold(&mut self, id: i32, stop: &Stop) -> Result<bool, String> {
        let is_free = self.run_until(stop, async |client| try_lock(client, id).await).await?;
        self.held = is_free.then_some(id);
        Ok(is_free)
    }

    /// Gives the backfill free. Should this fail, the connection is gone and the lock with it.
    pub(super) async fn release(&mut self, stop: &Stop) {
        if let Some(id) = self.held.take() {
            const SQL: &str = "SELECT pg_advisory_unlock($1, $2)";
            let _ = self.run_until(stop, async |client| client.query_one(SQL, &[&LOCKS, &id]).await).await;
        }
    }

    async fn connect(&self) -> Result<Client, String> {
        let client = self.connector.open(BOUND).await.map_err(|error| error_chain(&error))?;
        match self.held {
            Some(id) if !try_lock(&client, id).await.map_err(|error| error_chain(&error))? => {
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
