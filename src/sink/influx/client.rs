//! HTTP clients: one per thread, for `awc::Client` can't leave its thread, and all tenants share its connections.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use awc::{Client, Connector};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// How long connecting may take: a host that is gone should not hold a batch for the time a slow write may need.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whose word for a server's name is believed.
#[derive(Clone, Debug, Default)]
pub(super) enum Trust {
    /// The public authorities that browsers trust.
    #[default]
    Public,
    /// Only those of an operator's file.
    File(PathBuf, Arc<ClientConfig>),
}

impl Trust {
    /// Reads the file, where one is named.
    ///
    /// # Errors
    /// A sentence for operators where it can't be used.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let Some(file) = ca_file else { return Ok(Self::Public) };
        let refused = |why: String| format!("INFLUXDB_CA_FILE: {} {why}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(file).map_err(|error| refused(format!("can't be read: {error}")))?
        {
            let certificate = certificate.map_err(|error| refused(format!("is no PEM file: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| refused(format!("holds a certificate that can't be used: {error}")))?;
        }
        if roots.is_empty() {
            return Err(refused("holds no certificate".to_owned()));
        }
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::File(file.to_owned(), Arc::new(config)))
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Public => None,
            Self::File(file, _) => Some(file),
        }
    }
}

thread_local! {
    /// A process has one trust, its tests several.
    static CLIENTS: RefCell<Vec<(Option<PathBuf>, Client)>> = const { RefCell::new(Vec::new()) };
}

/// This thread's client with this trust.
pub(super) fn client(trust: &Trust) -> Client {
    CLIENTS.with_borrow_mut(|clients| {
        if let Some((_, client)) = clients.iter().find(|(file, _)| file.as_deref() == trust.file()) {
            return client.clone();
        }
        let client = build(trust);
        clients.push((trust.file().map(Path::to_owned), client.clone()));
        client
    })
}

fn build(trust: &Trust) -> Client {
    // No limit on connections: requests in flight are bounded per tenant, and a common limit would let the tenants
    // whose database hangs starve the others.
    let connector = Connector::new().timeout(CONNECT_TIMEOUT).limit(0);
    let connector = match trust {
        Trust::Public => connector,
        Trust::File(_, config) => connector.rustls_0_23(config.clone()),
    };
    Client::builder()
        .connector(connector)
        .add_default_header(("User-Agent", concat!("ingest-node/", env!("CARGO_PKG_VERSION"))))
        .disable_redirects()
        .disable_timeout()
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_file_of_certificates_is_one_plain_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let refused = || Trust::new(Some(&file)).unwrap_err();
        assert!(refused().contains("can't be read"), "{}", refused());
        for (text, why) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is no PEM file"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can't be used"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(refused().contains(why), "{}", refused());
        }
    }
}
