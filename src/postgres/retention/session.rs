//! A session for one step of a round: bounded in time, stopped by a drain, and on one replica at a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;

use crate::postgres::bounded_session::{BoundedSession, SessionError};
use crate::postgres::connector::Connector;
use crate::postgres::types::UnixMicros;

/// First key of the advisory locks; the second is the step's.
const LOCKS: i32 = 0x696e_6772;

/// How long a drain waits for a statement that it has cancelled.
const GRACE: Duration = Duration::from_millis(500);

/// What is done on one replica at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Partitions of `raw_events`.
    Rows = 1,
    /// The quarantine and its counters.
    Quarantine = 2,
    /// The index for readers.
    ReaderIndex = 3,
}

/// Connects when it is used. With each connection it takes the step's lock, which goes with the connection, whatever ends it.
pub(super) struct Session {
    bounded: BoundedSession,
    step: Step,
    stop: CancellationToken,
}

impl Session {
    /// Not connected yet. `bound`: longest time of a statement.
    pub(super) fn new(connector: Connector, step: Step, bound: Duration, stop: CancellationToken) -> Self {
        Self { bounded: BoundedSession::new(connector, bound), step, stop }
    }

    /// Does `work` over the connection.
    ///
    /// # Errors
    /// When PostgreSQL does not answer in time or refuses, when another replica is at the same step (`Locked`), and when the node
    /// drains (`Cancelled`).
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, SessionError> {
        let step = self.step as i32;
        let lock = async |client: &Client| {
            let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCKS, &step]).await?;
            if row.get(0) { Ok(()) } else { Err(SessionError::Locked("this step of retention")) }
        };
        if let Some(answered) = self.stop.run_until_cancelled(self.bounded.run_prepared(lock, work)).await {
            return answered;
        }
        // An index may take many minutes: the server would go on with it.
        self.bounded.cancel(GRACE).await;
        Err(SessionError::Cancelled)
    }

    /// Waits, to leave room for others.
    ///
    /// # Errors
    /// When the node drains.
    pub(super) async fn pause(&self, pause: Duration) -> Result<(), SessionError> {
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.ok_or(SessionError::Cancelled)
    }

    /// The time, Unix microseconds: the earlier one of PostgreSQL's and the node's clock. One that runs ahead drops nothing early.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) async fn now_us(&mut self) -> Result<i64, SessionError> {
        let UnixMicros(server_us) =
            self.run(async |client| Ok(client.query_one("SELECT now()", &[]).await?.get(0))).await?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(server_us.min(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }
}
