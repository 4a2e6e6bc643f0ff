//! Certificates of clients: verified by the authorities that are in the file now.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::tls_error::TlsError;
use crate::runtime::tls::NamedFile;

/// Sessions that clients may resume, as many as rustls keeps by itself.
const SESSIONS: usize = 256;

/// Verifies certificates of clients.
#[derive(Debug)]
pub(super) struct ClientAuthority {
    file: NamedFile,
    is_required: bool,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
    sessions: Arc<Sessions>,
}

#[derive(Debug)]
struct Current {
    authorities: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// The sessions that clients may resume. A session that is resumed is not verified again, so none outlives the authority that has
/// vouched for it.
#[derive(Debug)]
pub(super) struct Sessions(RwLock<Arc<ServerSessionMemoryCache>>);

impl ClientAuthority {
    /// Reads the file; with `is_required`, clients without a certificate get no connection.
    ///
    /// # Errors
    /// It can't be used.
    pub(super) fn read(
        file: NamedFile,
        is_required: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(current(&file, is_required, &provider)?);
        let sessions = Arc::new(Sessions(RwLock::new(ServerSessionMemoryCache::new(SESSIONS))));
        Ok(Arc::new(Self { file, is_required, provider, current, sessions }))
    }

    /// The sessions of clients that it has verified.
    pub(super) fn sessions(&self) -> Arc<Sessions> {
        self.sessions.clone()
    }

    /// Reads the file again: the next handshakes go by what is in it now. Whether it has changed.
    ///
    /// # Errors
    /// It can't be used; what is in force stays.
    pub(super) fn read_again(&self) -> Result<bool, TlsError> {
        let newer = current(&self.file, self.is_required, &self.provider)?;
        let has_changed = self.current.read().authorities != newer.authorities;
        if has_changed {
            *self.current.write() = newer;
            *self.sessions.0.write() = ServerSessionMemoryCache::new(SESSIONS);
        }
        Ok(has_changed)
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.current.read().verifier.clone()
    }
}

fn current(file: &NamedFile, is_required: bool, provider: &Arc<CryptoProvider>) -> Result<Current, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::new(error);
    let authorities = file.certificates().map_err(|error| unusable(&error))?;
    let roots = Arc::new(file.roots().map_err(|error| unusable(&error))?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| TlsError::new(&format_args!("{file} can't be used: {error}")))?;
    Ok(Current { authorities, verifier })
}

impl ClientCertVerifier for ClientAuthority {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    /// None: a client shows the certificate that it has, whatever the authorities were called when the server started.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier().verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

impl Sessions {
    fn current(&self) -> Arc<ServerSessionMemoryCache> {
        self.0.read().clone()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.current().put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use ingest_kit::Authority;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn another_authority_ends_what_the_one_before_has_vouched_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let (first, second) = (Authority::new(), Authority::new());
        std::fs::write(&path, first.pem()).unwrap();
        let file = NamedFile { setting: "INGEST_TLS_CLIENT_CA", path: path.clone() };
        let authority = ClientAuthority::read(file, false, Arc::new(default_provider())).unwrap();
        let of = |authority: &Authority| {
            let client = authority.client("acme/dev-1");
            CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap().into_owned()
        };
        let verifies =
            |certificate: &CertificateDer<'_>| authority.verify_client_cert(certificate, &[], UnixTime::now()).is_ok();
        let clients = [of(&first), of(&second)];
        assert_eq!(clients.each_ref().map(verifies), [true, false]);
        let sessions = authority.sessions();
        assert!(sessions.put(b"client".to_vec(), b"session".to_vec()));
        assert_eq!((authority.read_again(), sessions.get(b"client")), (Ok(false), Some(b"session".to_vec())));

        std::fs::write(&path, "no certificate").unwrap();
        assert!(authority.read_again().unwrap_err().to_string().contains("INGEST_TLS_CLIENT_CA"));
        assert_eq!(clients.each_ref().map(verifies), [true, false]);
        std::fs::write(&path, second.pem()).unwrap();
        assert_eq!(authority.read_again(), Ok(true));
        assert_eq!(clients.each_ref().map(verifies), [false, true]);
        assert_eq!(sessions.get(b"client"), None, "nobody resumes what would not be verified now");
    }
}
