//! Bounded session: a connection of one component's own, outside the pool, on which every piece of work is bounded in time.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::{Client, Error};

use super::connector::{ConnectError, Connector};
use super::errors;
use crate::runtime::error_chain::error_chain;

/// Why a piece of work was not done, or nobody knows whether it was.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// PostgreSQL refused, or the connection broke: the whole error chain.
    #[error("{}", error_chain(.0))]
    Postgres(Error),
    /// Nothing came back within the bound.
    #[error("no answer from PostgreSQL within {} s", .0.as_secs())]
    Silent(Duration),
    /// A new connection could not take over the lock that the one before it had; on what.
    #[error("the lock on {0} is still held elsewhere")]
    Locked(&'static str),
    /// The work was cancelled.
    #[error("told to stop before it answered")]
    Cancelled,
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl SessionError {
    /// Counts it for `/metrics`.
    fn count(&self) {
        match self {
            Self::Connect(ConnectError::Refused(error)) | Self::Postgres(error) => errors::count(error),
            Self::Silent(_) => errors::count_timeout(),
            Self::Connect(ConnectError::Settings(_) | ConnectError::Silent(_)) | Self::Locked(_) | Self::Cancelled => {}
        }
    }
}

/// Connects when it is used, and again after any failure.
pub(crate) struct BoundedSession {
    connector: Connector,
    bound: Duration,
    client: Option<Client>,
    /// Whether the last work on the connection has ended.
    is_idle: bool,
}

impl BoundedSession {
    /// Not connected yet. `bound`: longest time that a piece of work may take, connecting included.
    pub(crate) fn new(connector: Connector, bound: Duration) -> Self {
        Self { connector, bound, client: None, is_idle: false }
    }

    /// Does `work` over the connection.
    ///
    /// # Errors
    /// When PostgreSQL does not answer in time or refuses.
    pub(crate) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, SessionError> {
        self.run_prepared(async |_| Ok(()), work).await
    }

    /// As [`BoundedSession::run`]; a new connection is given to `prepare` before.
    ///
    /// # Errors
    /// As [`BoundedSession::run`], and those of `prepare`.
    pub(crate) async fn run_prepared<T>(
        &mut self,
        prepare: impl AsyncFnOnce(&Client) -> Result<(), SessionError>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, SessionError> {
        let bound = self.bound;
        let answered = timeout(bound, self.attempt(prepare, work)).await.unwrap_or(Err(SessionError::Silent(bound)));
        answered.inspect_err(|error| {
            error.count();
            // A connection on which something failed, or that is still busy, is not used again.
            self.client = None;
        })
    }

    async fn attempt<T>(
        &mut self,
        prepare: impl AsyncFnOnce(&Client) -> Result<(), SessionError>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, SessionError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let client = match self.client.take().filter(|client| was_idle && !client.is_closed()) {
            Some(client) => client,
            None => {
                let client = self.connector.open(self.bound).await?;
                prepare(&client).await?;
                client
            }
        };
        let done = work(self.client.insert(client)).await?;
        self.is_idle = true;
        Ok(done)
    }

    /// Stops a piece of work whose future was dropped, within `bound`: the connection serves again, with all that goes with it.
    pub(crate) async fn cancel(&mut self, bound: Duration) {
        if let Some(client) = &self.client {
            // Where even that gets no answer, the next statement gets none either.
            let _ = timeout(bound, self.connector.cancel(&client.cancel_token())).await;
            self.is_idle = true;
        }
    }
}
