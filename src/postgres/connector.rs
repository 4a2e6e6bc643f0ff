//! Connector: everything that a connection to PostgreSQL is made of, read again for each connection, so that rotated
//! passwords and renewed certificates count without a restart.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::Connect;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Config;
use super::session::{self, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::runtime::error_chain::error_chain;
use crate::runtime::postgres_url::{ChannelBinding, PostgresUrl, SslMode};
use crate::runtime::tls::{FileSetting, TlsFiles, TlsFilesError, advice, without_clock};

/// The settings, as operators know them.
const ROOTS: &str = "PG_SSLROOTCERT";
const CERTIFICATE: &str = "PG_SSLCERT";
const KEY: &str = "PG_SSLKEY";
const BINDING: &str = "PG_CHANNEL_BINDING";

/// Settings of PostgreSQL that can't be used, or not with each other.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The URL is none.
    #[error("the PostgreSQL URL can't be read")]
    Url,
    /// A setting, and a parameter of the URL that means the same.
    #[error("{0} and the parameter {1} of the PostgreSQL URL differ; set one of them")]
    Differ(&'static str, &'static str),
    /// A setting that means nothing without TLS.
    #[error("{0} needs TLS: set PG_SSLMODE to verify-full, or leave it out")]
    NeedsTls(&'static str),
    /// TLS is asked for, and the host is a directory.
    #[error("PostgreSQL speaks no TLS over a socket: leave PG_SSLMODE out, or name a host")]
    Socket,
    /// A file.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
}

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

/// The stream under a connection.
pub(crate) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

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

/// What one connection is made of.
#[derive(Default)]
struct Target {
    driver: tokio_postgres::Config,
    tls: Tls,
}

/// Everything that is wrong with the settings, and with the files that they name; each one sentence.
pub(crate) fn problems(config: &Config) -> Vec<SettingsError> {
    match merged(config) {
        Err(problems) => problems,
        Ok(merged) => {
            let of_files = merged.tls_files().map(|files| files.problems()).unwrap_or_default();
            merged.contradictions().into_iter().chain(of_files.into_iter().map(SettingsError::from)).collect()
        }
    }
}

/// Settings and parameters of the URL, which mean the same.
struct Merged {
    driver: tokio_postgres::Config,
    sslmode: SslMode,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    binding: Option<ChannelBinding>,
}

/// # Errors
/// Everything that is said in two ways; or the URL can't be read.
fn merged(config: &Config) -> Result<Merged, Vec<SettingsError>> {
    let url = PostgresUrl::parse(&config.url.expose()).ok_or_else(|| vec![SettingsError::Url])?;
    let mut differing = Vec::new();
    let merged = Merged {
        driver: url.driver,
        sslmode: one("PG_SSLMODE", "sslmode", config.sslmode, url.sslmode, &mut differing).unwrap_or(SslMode::Disable),
        roots: one(ROOTS, "sslrootcert", config.ssl_root_cert.clone(), url.root_certificates, &mut differing),
        certificate: one(CERTIFICATE, "sslcert", config.ssl_cert.clone(), url.certificate, &mut differing),
        key: one(KEY, "sslkey", config.ssl_key.clone(), url.key, &mut differing),
        binding: one(BINDING, "channel_binding", config.channel_binding, url.binding, &mut differing),
    };
    if differing.is_empty() { Ok(merged) } else { Err(differing) }
}

impl Merged {
    /// The files of TLS; `None` where the connection is not encrypted.
    fn tls_files(&self) -> Option<TlsFiles> {
        (self.sslmode != SslMode::Disable).then(|| TlsFiles {
            roots: FileSetting::new(ROOTS, self.roots.as_deref()),
            certificate: FileSetting::new(CERTIFICATE, self.certificate.as_deref()),
            key: FileSetting::new(KEY, self.key.as_deref()),
        })
    }

    /// What can't work together.
    fn contradictions(&self) -> Vec<SettingsError> {
        if self.sslmode != SslMode::Disable {
            let has_socket = self.driver.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
            return has_socket.then_some(SettingsError::Socket).into_iter().collect();
        }
        let need_tls = [
            (ROOTS, self.roots.is_some()),
            (CERTIFICATE, self.certificate.is_some()),
            (KEY, self.key.is_some()),
            ("PG_CHANNEL_BINDING=require", self.binding == Some(ChannelBinding::Require)),
        ];
        need_tls.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| SettingsError::NeedsTls(name)).collect()
    }
}

/// What a connection is made of.
///
/// # Errors
/// The first thing of the settings that can't work; files are read later.
fn target(config: &Config) -> Result<Target, SettingsError> {
    let merged = merged(config).map_err(|mut problems| problems.swap_remove(0))?;
    if let Some(contradiction) = merged.contradictions().into_iter().next() {
        return Err(contradiction);
    }
    let tls = Tls(merged.tls_files());
    let mut driver = merged.driver;
    if let Some(binding) = merged.binding {
        driver.channel_binding(binding.driver());
    }
    driver.ssl_mode(match tls.0 {
        None => tokio_postgres::config::SslMode::Disable,
        Some(_) => tokio_postgres::config::SslMode::Require,
    });
    if driver.get_application_name().is_none() {
        driver.application_name("ingest-node");
    }
    if driver.get_connect_timeout().is_none() {
        driver.connect_timeout(CONNECT_TIMEOUT);
    }
    // A dead host is noticed in less than 30 s, whether the node waits for its answer or it for the node's bytes.
    driver.keepalives(true);
    driver.keepalives_idle(Duration::from_secs(10));
    driver.keepalives_interval(Duration::from_secs(5));
    driver.keepalives_retries(3);
    if driver.get_tcp_user_timeout().is_none() {
        driver.tcp_user_timeout(Duration::from_secs(25));
    }
    Ok(Target { driver, tls })
}

/// A setting, or the URL's parameter of the same meaning; where they differ, that is noted.
fn one<T: PartialEq>(
    setting: &'static str,
    parameter: &'static str,
    set: Option<T>,
    in_url: Option<T>,
    differing: &mut Vec<SettingsError>,
) -> Option<T> {
    if set.is_some() && in_url.is_some() && set != in_url {
        differing.push(SettingsError::Differ(setting, parameter));
    }
    set.or(in_url)
}

/// TLS of one connection, or none: the driver then never asks for it.
#[derive(Clone, Debug, Default)]
struct Tls(Option<TlsFiles>);

impl Tls {
    fn client_config(&self) -> Result<ClientConfig, TlsFilesError> {
        match &self.0 {
            Some(files) => files.client_config(),
            None => Ok(ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
        }
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        let Ok(connect) =
            MakeTlsConnect::<Socket>::make_tls_connect(&mut MakeRustlsConnect::new(self.client_config()?), domain);
        Ok(connect)
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

    fn refused(config: &Config) -> String {
        Connector::new(config).unwrap_err().to_string()
    }

    #[test]
    fn combinations_that_cannot_work_are_one_sentence_that_names_the_setting() {
        let url = "postgres://h/d";
        let differing = Config { sslmode: Some(SslMode::Disable), ..config("postgres://h/d?sslmode=require") };
        assert!(refused(&differing).contains("PG_SSLMODE and the parameter sslmode"), "{}", refused(&differing));
        for (config, setting) in [
            (Config { ssl_root_cert: Some("ca.pem".into()), ..config(url) }, "PG_SSLROOTCERT needs TLS"),
            (
                Config { channel_binding: Some(ChannelBinding::Require), ..config(url) },
                "PG_CHANNEL_BINDING=require needs TLS",
            ),
            (config("postgres://%2Fvar%2Frun/d?sslmode=require"), "no TLS over a socket"),
            (config("postgres://h/d?sslcert=c.pem&sslmode=require"), "PG_SSLCERT is set and PG_SSLKEY is not"),
            (
                config("postgres://h/d?sslrootcert=/no/ca.pem&sslmode=require"),
                "PG_SSLROOTCERT: /no/ca.pem can't be read",
            ),
        ] {
            assert!(refused(&config).contains(setting), "{}", refused(&config));
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let said = |config: &Config| problems(config).iter().map(ToString::to_string).collect::<Vec<_>>();
        let begins = |said: Vec<String>, expected: &[&str]| {
            assert_eq!(said.len(), expected.len(), "{said:?}");
            assert!(said.iter().zip(expected).all(|(said, expected)| said.starts_with(expected)), "{said:?}");
        };
        let files = Config {
            ssl_root_cert: Some("/no".into()),
            ssl_cert: Some("/no".into()),
            ssl_key: Some("/no".into()),
            ..config("postgres://h/d?channel_binding=require")
        };
        let names = ["PG_SSLROOTCERT", "PG_SSLCERT", "PG_SSLKEY"];
        begins(said(&files), &[&names[..], &["PG_CHANNEL_BINDING=require needs TLS"]].concat());
        begins(said(&Config { sslmode: Some(SslMode::VerifyFull), ..files.clone() }), &names);
        let url = "postgres://%2Fvar%2Frun/d?sslmode=require&sslcert=/no";
        begins(said(&config(url)), &["PostgreSQL speaks no TLS", "PG_SSLCERT is set and PG_SSLKEY", "PG_SSLCERT: /no"]);
        let differing = Config { url: Secret::new("postgres://h/d?sslmode=disable&sslkey=/other"), ..files };
        begins(said(&Config { sslmode: Some(SslMode::Require), ..differing }), &["PG_SSLMODE and", "PG_SSLKEY and"]);
    }

    #[test]
    fn several_hosts_are_all_tried_within_the_bound() {
        let connector = Connector::new(&config("postgres://a,b,c/d?connect_timeout=2")).unwrap();
        assert_eq!(connector.bound(), Duration::from_secs(2 * 3) + HANDSHAKE_TIMEOUT);
    }

    #[test]
    fn a_dead_host_is_noticed_within_half_a_minute() {
        let driver = Connector::new(&config("postgres://h/d")).unwrap().target().unwrap().driver;
        let noticed = driver.get_keepalives_idle()
            + driver.get_keepalives_interval().unwrap() * driver.get_keepalives_retries().unwrap();
        assert!(driver.get_keepalives() && noticed < Duration::from_secs(30), "{noticed:?}");
        assert!(driver.get_tcp_user_timeout().unwrap() < &Duration::from_secs(30));
    }

    #[test]
    fn a_rotated_url_is_used_from_the_next_connection_on() {
        let config = config("postgres://old/d");
        let connector = Connector::new(&config).unwrap();
        config.url.replace(&Secret::new("postgres://a,b/d"));
        assert_eq!(connector.target().unwrap().driver.get_hosts().len(), 2);
    }
}
