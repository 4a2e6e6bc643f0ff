//! HTTP clients: one per thread, for `awc::Client` can't leave its thread, and all tenants share its connections.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use awc::{Client, Connector};
use rustls::{ClientConfig, RootCertStore};

use crate::runtime::tls::{FileSetting, NamedFile, TlsFiles, TlsFilesError};

/// How long connecting may take: a host that is gone should not hold a batch for the time a slow write may need.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the file of certificates is looked at: a renewed one counts from then on.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Whose word for a server's name is believed: an operator's file, else the public authorities that browsers trust.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Option<NamedFile>);

impl Trust {
    /// Reads the file, where one is named.
    ///
    /// # Errors
    /// Where it can't be used.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, TlsFilesError> {
        let trust = Self(ca_file.map(|path| NamedFile { setting: "INFLUXDB_CA_FILE", path: path.to_owned() }));
        trust.tls()?;
        Ok(trust)
    }

    fn tls(&self) -> Result<Option<ClientConfig>, TlsFilesError> {
        let Some(file) = &self.0 else { return Ok(None) };
        let roots = FileSetting::new(file.setting, Some(&file.path));
        let mut tls = TlsFiles { roots, ..TlsFiles::default() }.client_config()?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(tls))
    }

    fn modified(&self) -> Option<SystemTime> {
        fs::metadata(&self.0.as_ref()?.path).and_then(|file| file.modified()).ok()
    }
}

/// A thread's client with one trust.
struct Shared {
    file: Option<NamedFile>,
    modified: Option<SystemTime>,
    looked: Instant,
    client: Client,
}

thread_local! {
    /// A process has one trust, its tests several.
    static CLIENTS: RefCell<Vec<Shared>> = const { RefCell::new(Vec::new()) };
}

/// This thread's client with this trust.
pub(super) fn client(trust: &Trust) -> Client {
    CLIENTS.with_borrow_mut(|clients| {
        let now = Instant::now();
        if let Some(shared) = clients.iter_mut().find(|shared| shared.file == trust.0) {
            if trust.0.is_some() && now - shared.looked >= LOOK_EVERY {
                shared.looked = now;
                let modified = trust.modified();
                // A file that can't be used leaves the certificates in force.
                if modified != shared.modified
                    && let Ok(tls) = trust.tls()
                {
                    (shared.modified, shared.client) = (modified, build(tls));
                }
            }
            return shared.client.clone();
        }
        // Checked at the start; one that has gone since means that no server is believed.
        let tls = trust.tls().unwrap_or_else(|_| Some(believes_nobody()));
        let client = build(tls);
        clients.push(Shared { file: trust.0.clone(), modified: trust.modified(), looked: now, client: client.clone() });
        client
    })
}

fn believes_nobody() -> ClientConfig {
    ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

fn build(tls: Option<ClientConfig>) -> Client {
    // No limit on connections: requests in flight are bounded per tenant, and a common limit would let the tenants
    // whose database hangs starve the others.
    let connector = Connector::new().timeout(CONNECT_TIMEOUT).limit(0);
    let connector = match tls {
        None => connector,
        Some(tls) => connector.rustls_0_23(Arc::new(tls)),
    };
    Client::builder()
        .connector(connector)
        .add_default_header(("User-Agent", concat!("ingest-node/", env!("CARGO_PKG_VERSION"))))
        .disable_redirects()
        .disable_timeout()
        .finish()
}
