//! A server's certificate for `127.0.0.1`, and the authority that vouches for it.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::pki::Authority;

/// A configuration with a new certificate, and the certificate (PEM) of the new authority that signed it.
pub(super) fn server_config() -> (ServerConfig, String) {
    let authority = Authority::new();
    let certified = authority.server(&["127.0.0.1"]);
    let certificate = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    (config.expect("a certificate and its key"), authority.pem().to_owned())
}
