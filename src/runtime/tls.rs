//! TLS of a client: certificates from files, and advice for the failures that an operator can fix.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

/// A file, and the setting that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The setting, as an operator knows it.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl Display for NamedFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.path.display())
    }
}

/// Why the files of TLS can't be used: one sentence that names the setting and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// The system refuses the file.
    #[error("{0} can't be read: {1}")]
    Unreadable(NamedFile, io::Error),
    /// The file is of another form.
    #[error("{0} is no PEM file: {1}")]
    NoPem(NamedFile, pem::Error),
    /// The file holds other things.
    #[error("{0} holds no certificate")]
    NoCertificate(NamedFile),
    /// The file holds other things.
    #[error("{0} holds no private key")]
    NoKey(NamedFile),
    /// An authority's certificate is malformed.
    #[error("{0} holds a certificate that can't be used: {1}")]
    BadCertificate(NamedFile, rustls::Error),
    /// A key belongs to another certificate than that of the setting.
    #[error("{0} does not belong to {1}: {2}")]
    OtherKey(NamedFile, &'static str, rustls::Error),
    /// Half of an identity: the setting that is set, and the one that is not.
    #[error("{0} is set and {1} is not; a certificate and its key belong together")]
    Half(&'static str, &'static str),
}

impl NamedFile {
    /// The certificates of a PEM file, at least one.
    ///
    /// # Errors
    /// Where it can't be used.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
        let certificates = CertificateDer::pem_file_iter(&self.path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| self.unreadable(error))?;
        match certificates.is_empty() {
            true => Err(TlsFilesError::NoCertificate(self.clone())),
            false => Ok(certificates),
        }
    }

    /// The certificates of a PEM file as the authorities that are trusted.
    ///
    /// # Errors
    /// Where it can't be used.
    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsFilesError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| TlsFilesError::BadCertificate(self.clone(), error))?;
        }
        Ok(roots)
    }

    /// The private key of a PEM file.
    ///
    /// # Errors
    /// Where it can't be used.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
        PrivateKeyDer::from_pem_file(&self.path).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsFilesError::NoKey(self.clone()),
            error => self.unreadable(error),
        })
    }

    fn unreadable(&self, error: pem::Error) -> TlsFilesError {
        match error {
            pem::Error::Io(error) => TlsFilesError::Unreadable(self.clone(), error),
            error => TlsFilesError::NoPem(self.clone(), error),
        }
    }
}

/// A setting that names a file, and the file where it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSetting {
    setting: &'static str,
    path: Option<PathBuf>,
}

impl FileSetting {
    /// A setting as an operator knows it, and its value.
    pub(crate) fn new(setting: &'static str, path: Option<&Path>) -> Self {
        Self { setting, path: path.map(Path::to_owned) }
    }

    /// The file, where it is set.
    pub(crate) fn file(&self) -> Option<NamedFile> {
        Some(NamedFile { setting: self.setting, path: self.path.clone()? })
    }
}

/// The files that a connection's TLS is made of. They are read for each connection, so that renewed certificates count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The authorities that are trusted; without, those that browsers trust.
    pub roots: FileSetting,
    /// The client's certificate.
    pub certificate: FileSetting,
    /// The key that belongs to it.
    pub key: FileSetting,
}

impl TlsFiles {
    /// A certificate and its key belong together: both, or none.
    ///
    /// # Errors
    /// Where one of them is missing.
    pub(crate) fn identity(
        certificate: &FileSetting,
        key: &FileSetting,
    ) -> Result<Option<(NamedFile, NamedFile)>, TlsFilesError> {
        match (certificate.file(), key.file()) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(TlsFilesError::Half(certificate.setting, key.setting)),
            (None, Some(_)) => Err(TlsFilesError::Half(key.setting, certificate.setting)),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The first of them that can't be used.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, TlsFilesError> {
        let roots = match self.roots.file() {
            Some(file) => file.roots()?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match Self::identity(&self.certificate, &self.key)? {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificate.certificates()?, key.key()?)
                .map_err(|error| TlsFilesError::OtherKey(key, certificate.setting, error)),
        }
    }

    /// Everything that is wrong with the files.
    pub(crate) fn problems(&self) -> Vec<TlsFilesError> {
        let each = [
            self.roots.file().and_then(|file| file.roots().err()),
            Self::identity(&self.certificate, &self.key).err(),
            self.certificate.file().and_then(|file| file.certificates().err()),
            self.key.file().and_then(|file| file.key().err()),
        ];
        let each: Vec<_> = each.into_iter().flatten().collect();
        // That they don't belong together shows when each can be read.
        if each.is_empty() { self.client_config().err().into_iter().collect() } else { each }
    }
}

/// What to do about a failed handshake, where an operator can do something. `roots` and `identity` are the settings of the
/// trusted authorities and of the client's certificate.
pub(crate) fn advice(error: &(dyn Error + 'static), roots: &str, identity: &str) -> Option<String> {
    use AlertDescription as Alert;
    use CertificateError as Certificate;
    let advice = match find(error)? {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            format!("its authority is not among the trusted ones: check {roots}")
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "connect by a name that the server's certificate holds".to_owned(),
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the server needs a new certificate, or this machine the right time".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "this machine, or the one that made the certificate, has the wrong time".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS at this port: check the URL".to_owned(),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::DecryptError,
        ) => format!("the server does not accept the client's certificate: check {identity}"),
        _ => return None,
    };
    Some(advice)
}

/// What a failed verification says without the moment at which it was made: else every attempt would be logged as a new
/// failure.
pub(crate) fn without_clock(text: &str) -> &str {
    text.split(": verification time").next().unwrap_or(text)
}

/// The TLS error among an error's causes. An `io::Error` shows the causes of what it wraps, not what it wraps.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            return find(inner);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::*;

    fn named(path: &Path) -> NamedFile {
        NamedFile { setting: "PG_SSLROOTCERT", path: path.to_owned() }
    }

    #[test]
    fn an_unusable_file_of_certificates_is_one_plain_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let refused = || named(&file).roots().unwrap_err().to_string();
        assert!(
            refused().starts_with("PG_SSLROOTCERT: ") && refused().contains("can't be read: No such"),
            "{}",
            refused()
        );
        for (text, why) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is no PEM file"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can't be used"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(refused().contains(why), "{}", refused());
        }
    }

    #[test]
    fn half_an_identity_names_the_other_half() {
        let identity = |certificate: Option<&str>, key: Option<&str>| {
            let setting = |name, path: Option<&str>| FileSetting::new(name, path.map(Path::new));
            TlsFiles::identity(&setting("PG_SSLCERT", certificate), &setting("PG_SSLKEY", key))
        };
        assert!(identity(Some("c"), None).unwrap_err().to_string().contains("PG_SSLCERT is set and PG_SSLKEY is not"));
        assert!(identity(None, Some("k")).unwrap_err().to_string().contains("PG_SSLKEY is set and PG_SSLCERT is not"));
        assert!(identity(None, None).unwrap().is_none());
        assert!(identity(Some("c"), Some("k")).unwrap().is_some());
    }

    #[test]
    fn every_file_that_can_not_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let files = |key: Option<&str>| TlsFiles {
            roots: FileSetting::new("NATS_CA_FILE", Some(&file("ca.pem"))),
            certificate: FileSetting::new("NATS_CERT_FILE", Some(&file("cert.pem"))),
            key: FileSetting::new("NATS_KEY_FILE", key.map(file).as_deref()),
        };
        let named = |files: TlsFiles| -> Vec<String> {
            let words = |problem: &TlsFilesError| problem.to_string().split([' ', ':']).next().unwrap().to_owned();
            files.problems().iter().map(words).collect()
        };
        assert_eq!(named(files(Some("key.pem"))), ["NATS_CA_FILE", "NATS_CERT_FILE", "NATS_KEY_FILE"]);
        assert_eq!(named(files(None)), ["NATS_CA_FILE", "NATS_CERT_FILE", "NATS_CERT_FILE"], "half, and unreadable");
        assert!(TlsFiles::default().problems().is_empty());
    }

    #[test]
    fn an_expired_certificate_fails_in_the_same_words_every_second() {
        let at = |secs| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(secs));
            let not_after = UnixTime::since_unix_epoch(Duration::from_secs(1_000));
            rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }).to_string()
        };
        assert_ne!(at(2_000), at(2_001));
        assert_eq!(without_clock(&at(2_000)), without_clock(&at(2_001)));
        assert!(without_clock(&at(2_000)).contains("expired"), "{}", at(2_000));
        assert_eq!(without_clock("closed"), "closed");
    }

    #[test]
    fn the_tls_error_is_found_wherever_it_is_wrapped() {
        let wrapped = || {
            let error = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
            io::Error::new(io::ErrorKind::InvalidData, error)
        };
        let advice = |error: io::Error| advice(&error, "NATS_CA_FILE", "NATS_CERT_FILE");
        assert!(advice(wrapped()).unwrap().contains("NATS_CA_FILE"));
        assert!(advice(io::Error::other(wrapped())).unwrap().contains("NATS_CA_FILE"));
        assert_eq!(advice(io::Error::other("closed")), None);
    }
}
