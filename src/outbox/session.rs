//! A connection to PostgreSQL of the outbox's own: it takes none from those who write and look up.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use crate::postgres::connector::{ConnectError, Connector};
use crate::postgres::errors;
use crate::runtime::error_chain::error_chain;

/// Bound on one piece of work; a page of rows takes milliseconds.
const BOUND: Duration = Duration::from_secs(30);

/// Connects when it is used, and again after any failure.
pub(super) struct Session {
    connector: Connector,
    client: Option<Client>,
}

impl Session {
    /// Not connected yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, client: None }
    }

    /// Does `work` over the connection.
    ///
    /// # Errors
    /// The error chain, when PostgreSQL does not answer in time or refuses.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, String> {
        let attempt = async {
            let mut client = match self.client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connector.open(BOUND).await.map_err(|error| {
                    if let ConnectError::Refused(error) = &error {
                        errors::count(error);
                    }
                    error_chain(&error)
                })?,
            };
            let result = work(&mut client).await.map_err(|error| {
                errors::count(&error);
                error_chain(&error)
            })?;
            // Only now: a connection on which something failed, or that is still busy, is not used again.
            self.client = Some(client);
            Ok(result)
        };
        let answered = tokio::time::timeout(BOUND, attempt).await;
        answered.unwrap_or_else(|_| {
            errors::count_timeout();
            Err(format!("PostgreSQL did not answer within {} s", BOUND.as_secs()))
        })
    }
}
