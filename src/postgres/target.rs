//! What a connection to PostgreSQL is made of: the settings and the URL's parameters, which mean the same, and the files of TLS.

use std::path::PathBuf;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio_postgres::Socket;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Config;
use super::session::CONNECT_TIMEOUT;
use crate::runtime::postgres_url::{ChannelBinding, PostgresUrl, SslMode};
use crate::runtime::tls::{FileSetting, TlsFiles, TlsFilesError};

/// The settings, as operators know them.
pub(super) const ROOTS: &str = "PG_SSLROOTCERT";
pub(super) const CERTIFICATE: &str = "PG_SSLCERT";
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

/// The stream under a connection.
pub(crate) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What one connection is made of.
#[derive(Default)]
pub(super) struct Target {
    /// The driver's settings.
    pub(super) driver: tokio_postgres::Config,
    /// Its TLS.
    pub(super) tls: Tls,
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
pub(super) fn target(config: &Config) -> Result<Target, SettingsError> {
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
pub(super) struct Tls(Option<TlsFiles>);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    fn config(url: &str) -> Config {
        Config { url: Secret::new(url), ..Config::default() }
    }

    fn refused(config: &Config) -> String {
        problems(config).remove(0).to_string()
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
    fn a_dead_host_is_noticed_within_half_a_minute() {
        let driver = target(&config("postgres://h/d")).unwrap().driver;
        let noticed = driver.get_keepalives_idle()
            + driver.get_keepalives_interval().unwrap() * driver.get_keepalives_retries().unwrap();
        assert!(driver.get_keepalives() && noticed < Duration::from_secs(30), "{noticed:?}");
        assert!(driver.get_tcp_user_timeout().unwrap() < &Duration::from_secs(30));
    }
}
