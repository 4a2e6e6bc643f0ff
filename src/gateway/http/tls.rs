//! TLS of the server: its certificate and the authority of its clients, both read again when their files change.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};

use super::Config;
use super::client_auth::ClientAuthority;
use super::tls_error::TlsError;
use crate::runtime::tls::{FileSetting, NamedFile, TlsFiles};

/// The settings, as operators know them.
const CERTIFICATE: &str = "INGEST_TLS_CERT";
const KEY: &str = "INGEST_TLS_KEY";
const CLIENT_AUTHORITY: &str = "INGEST_TLS_CLIENT_CA";
const CLIENT_REQUIRED: &str = "INGEST_TLS_CLIENT_REQUIRED";

/// TLS of a server.
#[derive(Clone)]
pub(crate) struct ServerTls {
    /// For the listener.
    pub(super) config: ServerConfig,
    identity: Arc<Identity>,
    clients: Option<Arc<ClientAuthority>>,
}

/// What was found to be another when the files were read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Renewed {
    /// The server's certificate.
    pub certificate: bool,
    /// The authority of the clients.
    pub client_authority: bool,
}

/// The server's certificate, as it is now.
#[derive(Debug)]
struct Identity {
    certificate: NamedFile,
    key: NamedFile,
    current: RwLock<Arc<CertifiedKey>>,
}

/// The server's certificate and its key, where TLS is configured.
///
/// # Errors
/// One is set, and the other is not.
fn identity(config: &Config) -> Result<Option<(NamedFile, NamedFile)>, TlsError> {
    let certificate = FileSetting::new(CERTIFICATE, config.tls_cert.as_deref());
    let key = FileSetting::new(KEY, config.tls_key.as_deref());
    TlsFiles::identity(&certificate, &key).map_err(|error| TlsError::new(&error))
}

/// Everything in which the settings of TLS contradict each other, without a look at the files: they may be the gateway's alone.
pub(crate) fn problems(config: &Config) -> Vec<TlsError> {
    let identity = identity(config);
    let mut problems = Vec::new();
    if config.tls_client_required && config.tls_client_ca.is_none() {
        problems.push(TlsError::new(&format_args!(
            "{CLIENT_REQUIRED} is set and {CLIENT_AUTHORITY} is not; it needs both"
        )));
    }
    if config.tls_client_ca.is_some() && matches!(identity, Ok(None)) {
        problems.push(TlsError::new(&format_args!("{CLIENT_AUTHORITY} needs TLS: set {CERTIFICATE} and {KEY}")));
    }
    problems.extend(identity.err());
    problems
}

impl ServerTls {
    /// Reads the files; `None` where no TLS is configured.
    ///
    /// # Errors
    /// The settings contradict each other, or a file can't be used.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>, TlsError> {
        if let Some(problem) = problems(config).into_iter().next() {
            return Err(problem);
        }
        let Some((certificate, key)) = identity(config)? else { return Ok(None) };
        let identity = Identity::read(certificate, key)?;
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(&format_args!("TLS: {error}")))?;
        let clients = match &config.tls_client_ca {
            None => None,
            Some(path) => {
                let file = NamedFile { setting: CLIENT_AUTHORITY, path: path.clone() };
                Some(ClientAuthority::read(file, config.tls_client_required, provider)?)
            }
        };
        let builder = match clients.clone() {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients),
        };
        let mut config = builder.with_cert_resolver(identity.clone());
        if let Some(clients) = &clients {
            config.session_storage = clients.sessions();
        }
        Ok(Some(Self { config, identity, clients }))
    }

    /// Reads the files again: new connections get what is in them now.
    ///
    /// # Errors
    /// One can't be used; what is in force of it stays.
    pub(super) fn read_again(&self) -> Result<Renewed, TlsError> {
        let certificate = self.identity.read_again();
        let client_authority = self.clients.as_ref().map_or(Ok(false), |clients| clients.read_again());
        Ok(Renewed { certificate: certificate?, client_authority: client_authority? })
    }
}

impl Identity {
    fn read(certificate: NamedFile, key: NamedFile) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(certified(&certificate, &key)?));
        Ok(Arc::new(Self { certificate, key, current }))
    }

    /// Whether they have changed.
    fn read_again(&self) -> Result<bool, TlsError> {
        let newer = certified(&self.certificate, &self.key)?;
        let mut current = self.current.write();
        let has_changed = current.cert != newer.cert;
        *current = Arc::new(newer);
        Ok(has_changed)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

fn certified(certificate: &NamedFile, key: &NamedFile) -> Result<CertifiedKey, TlsError> {
    let chain = certificate.certificates().map_err(|error| TlsError::new(&error))?;
    let private = key.key().map_err(|error| TlsError::new(&error))?;
    CertifiedKey::from_der(chain, private, &provider())
        .map_err(|error| TlsError::new(&format_args!("{key} does not belong to {}: {error}", certificate.setting)))
}

/// The one implementation in the program.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(crypto::ring::default_provider()))
}

#[cfg(test)]
mod tests {
    use ingest_kit::Authority;

    use super::*;

    fn refused(config: &Config) -> String {
        ServerTls::new(config).err().unwrap().to_string()
    }

    #[test]
    fn settings_that_cannot_work_are_one_sentence_that_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.server(&["localhost"]).write(directory.path(), "one");
        let (_, other_key) = authority.server(&["localhost"]).write(directory.path(), "two");
        let tls = Config { tls_cert: Some(certificate), tls_key: Some(key), ..Config::default() };
        assert!(ServerTls::new(&Config::default()).unwrap().is_none());
        assert!(ServerTls::new(&tls).unwrap().is_some());
        for (config, why) in [
            (Config { tls_key: None, ..tls.clone() }, "INGEST_TLS_CERT is set and INGEST_TLS_KEY is not"),
            (Config { tls_key: Some(other_key), ..tls.clone() }, "does not belong to INGEST_TLS_CERT"),
            (Config { tls_client_required: true, ..tls.clone() }, "INGEST_TLS_CLIENT_CA is not"),
            (Config { tls_client_ca: Some("/no.pem".into()), ..Config::default() }, "INGEST_TLS_CLIENT_CA needs TLS"),
            (
                Config { tls_client_ca: Some("/no.pem".into()), ..tls.clone() },
                "INGEST_TLS_CLIENT_CA: /no.pem can't be read",
            ),
        ] {
            assert!(refused(&config).contains(why), "{}", refused(&config));
        }
    }

    #[test]
    fn a_renewed_certificate_is_taken_over_and_one_that_cannot_be_used_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.server(&["localhost"]).write(directory.path(), "one");
        let tls = Config { tls_cert: Some(certificate.clone()), tls_key: Some(key), ..Config::default() };
        let tls = ServerTls::new(&tls).unwrap().unwrap();
        assert_eq!(tls.read_again(), Ok(Renewed::default()));
        authority.server(&["localhost"]).write(directory.path(), "one");
        assert_eq!(tls.read_again(), Ok(Renewed { certificate: true, client_authority: false }));
        let in_force = tls.identity.current.read().cert.clone();
        std::fs::write(&certificate, "").unwrap();
        assert!(tls.read_again().is_err());
        assert_eq!(tls.identity.current.read().cert, in_force);
    }
}
