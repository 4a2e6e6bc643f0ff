//! The command's own connection to PostgreSQL, and the lock on it that keeps a second run away.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, Error};

use super::stop::Stop;
use crate::postgres::bounded_session::{BoundedSession, SessionError};
use crate::postgres::connector::Connector;

/// Bound on one statement; a page of rows takes milliseconds.
const BOUND: Duration = Duration::from_secs(60);

/// How much longer PostgreSQL may take once the command is told to stop.
const GRACE: Duration = Duration::from_millis(500);

/// First key of the advisory locks; the second is the backfill's number.
const LOCKS: i32 = 0x696e_6762;

/// Connects when it is used, and again after any failure.
pub(super) struct Session {
    bounded: BoundedSession,
    /// The backfill that this run alone works on.
    held: Option<i32>,
}

impl Session {
    /// Not connected yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self { bounded: BoundedSession::new(connector, BOUND), held: None }
    }

    /// Does `work` over the connection, and takes the lock again with a new one. Once told to stop, it waits only a moment
    /// longer. What still runs then is cancelled, so that the connection, and the lock that goes with it, serve what is left
    /// to do.
    ///
    /// # Errors
    /// When PostgreSQL does not answer in time or refuses, and when it was told to stop.
    pub(super) async fn run_until<T>(
        &mut self,
        stop: &Stop,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, SessionError> {
        let held = self.held;
        let lock_again = async |client: &Client| match held {
            Some(id) if !try_lock(client, id).await? => Err(SessionError::Locked("this backfill")),
            _ => Ok(()),
        };
        let told = async {
            stop.told_times(1).await;
            sleep(GRACE).await;
        };
        tokio::select! {
            answered = self.bounded.run_prepared(lock_again, work) => return answered,
            () = told => {}
        }
        self.bounded.cancel(GRACE).await;
        Err(SessionError::Cancelled)
    }

    /// Takes a backfill for this run alone; whether it is free. The lock goes with the connection, whatever ends it.
    ///
    /// # Errors
    /// As [`Session::run_until`].
    pub(super) async fn hold(&mut self, id: i32, stop: &Stop) -> Result<bool, SessionError> {
        let is_free = self.run_until(stop, async |client| try_lock(client, id).await).await?;
        self.held = is_free.then_some(id);
        Ok(is_free)
    }

    /// Releases the backfill. Should this fail, the connection is gone and the lock with it.
    pub(super) async fn release(&mut self, stop: &Stop) {
        if let Some(id) = self.held.take() {
            const SQL: &str = "SELECT pg_advisory_unlock($1, $2)";
            let _ = self.run_until(stop, async |client| client.query_one(SQL, &[&LOCKS, &id]).await).await;
        }
    }
}

async fn try_lock(client: &Client, id: i32) -> Result<bool, Error> {
    let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCKS, &id]).await?;
    Ok(row.get(0))
}
