//! Connector: opens connections to PostgreSQL. What one is made of is read again for each, so that rotated passwords and renewed
//! certificates count without a restart.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::Connect;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Connection, Socket};

use super::config::Config;
use super::session::{self, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use super::target::{CERTIFICATE, ROOTS, SettingsError, Stream, Target, problems, target};
use crate::runtime::error_chain::error_chain;
use crate::runtime::tls::{advice, without_clock};

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The settings contradict each other, or a file that they name can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nothing came back within the bound.
    #[error("no answer to a connection attempt within {} s", .0.as_secs())]
    Silent(Duration),
    /// The server can't be reached, or refuses: the whole error chain, with what to do where that is known.
    #[error("{}", describe(.0))]
    Refused(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error)
    }
}

/// Makes the node's connections to PostgreSQL.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Config,
}

impl Connector {
    /// Checks the settings and the files that they name.
    ///
    /// # Errors
    /// One sentence that names the setting.
    pub fn new(config: &Config) -> Result<Self, ConnectError> {
        match problems(config).into_iter().next() {
            None => Ok(Self { config: config.clone() }),
            Some(problem) => Err(problem.into()),
        }
    }

    /// Opens a connection outside the pool and sets it up; it ends when the client is dropped. The server ends statements
    /// that take longer than `statement_timeout`.
    ///
    /// # Errors
    /// When PostgreSQL does not answer or does not let the node in.
    pub async fn open(&self, statement_timeout: Duration) -> Result<Client, ConnectError> {
        self.within_bound(async |connector| {
            let (client, connection) = connector.connect_now().await?;
            // Its errors reach whoever uses the client.
            tokio::spawn(async move { drop(connection.await) });
            session::set_up(&client, statement_timeout).await?;
            Ok(client)
        })
        .await
    }

    /// Opens a connection whose messages the caller reads, and which the caller sets up.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub(crate) async fn dial(&self) -> Result<(Client, Connection<Socket, Stream>), ConnectError> {
        self.within_bound(async |connector| connector.connect_now().await).await
    }

    /// Asks the server to stop what a connection does.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub(crate) async fn cancel(&self, token: &CancelToken) -> Result<(), ConnectError> {
        let tls = self.target()?.tls;
        Ok(token.cancel_query(tls).await?)
    }

    /// Longest time that an attempt takes: all hosts of the URL are tried in turn.
    pub(crate) fn bound(&self) -> Duration {
        let Ok(Target { driver, .. }) = self.target() else { return CONNECT_TIMEOUT };
        let each = driver.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let hosts = driver.get_hosts().len().max(driver.get_hostaddrs().len()).max(1);
        each.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX)).saturating_add(HANDSHAKE_TIMEOUT)
    }

    async fn connect_now(&self) -> Result<(Client, Connection<Socket, Stream>), ConnectError> {
        let Target { driver, tls } = self.target()?;
        Ok(driver.connect(tls).await.inspect_err(|error| self.note(error))?)
    }

    /// A refused log-in may mean that the password has been rotated.
    fn note(&self, error: &tokio_postgres::Error) {
        let is_refused = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
        if error.code().is_some_and(|code| is_refused.contains(code)) {
            self.config.url.report_refused();
        }
    }

    async fn within_bound<T>(
        &self,
        attempt: impl AsyncFnOnce(&Self) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let bound = self.bound();
        tokio::time::timeout(bound, attempt(self)).await.unwrap_or(Err(ConnectError::Silent(bound)))
    }

    /// The settings as they are now.
    fn target(&self) -> Result<Target, SettingsError> {
        target(&self.config)
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        Box::pin(async move {
            // The settings were checked at the start and are when they are read again: their URL can be read.
            let Target { driver, tls } = target(&self.config).unwrap_or_else(|_| Target::default());
            let (client, connection) = driver.connect(tls).await.inspect_err(|error| self.note(error))?;
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        })
    }
}

/// A driver's error with its whole chain, and what to do where that is known.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    let chain = error_chain(error);
    let text = without_clock(&chain);
    let advice = error.source().and_then(|source| advice(source, ROOTS, CERTIFICATE));
    match (advice, error.code()) {
        (Some(advice), _) => format!("{text} ({advice})"),
        (None, Some(code))
            if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION && text.contains("no encryption") =>
        {
            format!("{text} (the server demands TLS: set PG_SSLMODE to verify-full)")
        }
        (None, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    fn config(url: &str) -> Config {
        Config { url: Secret::new(url), ..Config::default() }
    }

    #[test]
    fn several_hosts_are_all_tried_within_the_bound() {
        let connector = Connector::new(&config("postgres://a,b,c/d?connect_timeout=2")).unwrap();
        assert_eq!(connector.bound(), Duration::from_secs(2 * 3) + HANDSHAKE_TIMEOUT);
    }

    #[test]
    fn a_rotated_url_is_used_from_the_next_connection_on() {
        let config = config("postgres://old/d");
        let connector = Connector::new(&config).unwrap();
        config.url.replace(&Secret::new("postgres://a,b/d"));
        assert_eq!(connector.target().unwrap().driver.get_hosts().len(), 2);
    }
}
