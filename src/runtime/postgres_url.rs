//! PostgreSQL URLs: what the driver reads of them, and the parameters for TLS that it does not know.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio_postgres::config::{ChannelBinding as DriverChannelBinding, SslNegotiation};

/// Whether the connection is encrypted. All but `disable` encrypt and verify the certificate's chain and name; `prefer`
/// and `allow`, which fall back to plain text, are not among them (ADR 36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Plain text.
    Disable,
    /// Encrypted and verified; libpq's `require` would not verify.
    Require,
    /// Encrypted and verified; libpq's `verify-ca` would not verify the name.
    VerifyCa,
    /// Encrypted and verified.
    VerifyFull,
}

impl SslMode {
    /// The names, as libpq has them.
    pub(crate) const NAMES: &'static [&'static str] = &["disable", "require", "verify-ca", "verify-full"];

    fn read(name: &str) -> Option<Self> {
        Some(match name {
            "disable" => Self::Disable,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// The demand that log-in and TLS session belong together (SCRAM-SHA-256-PLUS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can.
    Prefer,
    /// Or no connection.
    Require,
}

impl ChannelBinding {
    /// The names, as libpq has them.
    pub(crate) const NAMES: &'static [&'static str] = &["disable", "prefer", "require"];

    /// For the driver.
    pub(crate) fn driver(self) -> DriverChannelBinding {
        match self {
            Self::Disable => DriverChannelBinding::Disable,
            Self::Prefer => DriverChannelBinding::Prefer,
            Self::Require => DriverChannelBinding::Require,
        }
    }
}

/// A URL that has been read.
#[derive(Clone)]
pub(crate) struct PostgresUrl {
    /// What the driver understands.
    pub driver: tokio_postgres::Config,
    /// `sslmode`.
    pub sslmode: Option<SslMode>,
    /// `sslrootcert`.
    pub root_certificates: Option<PathBuf>,
    /// `sslcert`.
    pub certificate: Option<PathBuf>,
    /// `sslkey`.
    pub key: Option<PathBuf>,
    /// `channel_binding`.
    pub binding: Option<ChannelBinding>,
}

impl fmt::Debug for PostgresUrl {
    /// Without the driver's part, which holds the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresUrl").field("sslmode", &self.sslmode).finish_non_exhaustive()
    }
}

impl PostgresUrl {
    /// Reads a URL; `None` where it is none, or has a parameter or a value that is not known. The driver's own words may
    /// repeat the password, so there are none.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return None;
        }
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut sslmode, mut root_certificates, mut certificate, mut key, mut binding) =
            (None, None, None, None, None);
        let mut rest = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            let value = || decode(value);
            match name {
                "sslmode" => sslmode = Some(SslMode::read(&value()?)?),
                "sslrootcert" => root_certificates = Some(value()?.into()),
                "sslcert" => certificate = Some(value()?.into()),
                "sslkey" => key = Some(value()?.into()),
                "channel_binding" => {
                    binding = Some(match &*value()? {
                        "disable" => ChannelBinding::Disable,
                        "prefer" => ChannelBinding::Prefer,
                        "require" => ChannelBinding::Require,
                        _ => return None,
                    });
                }
                _ => rest.push(parameter),
            }
        }
        let mark = if rest.is_empty() { "" } else { "?" };
        let driver: tokio_postgres::Config = format!("{place}{mark}{}", rest.join("&")).parse().ok()?;
        // Without a question the server is greeted with TLS at once: only where TLS was asked for.
        let is_direct = driver.get_ssl_negotiation() == SslNegotiation::Direct;
        let is_plain = sslmode.is_none_or(|mode| mode == SslMode::Disable);
        if driver.get_hosts().is_empty() || (is_direct && is_plain) {
            return None;
        }
        Some(Self { driver, sslmode, root_certificates, certificate, key, binding })
    }
}

/// Percent-decoding, as a URL's parameter has it; `None` where the result is no UTF-8 or empty.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_for_tls_are_taken_out_before_the_driver_reads() {
        let url = "postgres://u:p@h:1,g:2/d?sslmode=verify-full&connect_timeout=3&sslrootcert=/a%20b/ca.pem\
                   &sslcert=c.pem&sslkey=k.pem&channel_binding=require&target_session_attrs=read-write";
        let read = PostgresUrl::parse(url).unwrap();
        assert_eq!(read.sslmode, Some(SslMode::VerifyFull));
        assert_eq!(read.root_certificates, Some("/a b/ca.pem".into()));
        assert_eq!((read.certificate, read.key), (Some("c.pem".into()), Some("k.pem".into())));
        assert_eq!(read.binding, Some(ChannelBinding::Require));
        assert_eq!(read.driver.get_connect_timeout(), Some(&std::time::Duration::from_secs(3)));
        assert_eq!(read.driver.get_hosts().len(), 2);
        assert_eq!(read.driver.get_ports(), [1, 2]);
    }

    #[test]
    fn what_would_fall_back_to_plain_text_is_refused() {
        for parameter in ["sslmode=prefer", "sslmode=allow", "sslmode=", "sslmode", "sslnegotiation=direct", "ssl=1"] {
            assert!(PostgresUrl::parse(&format!("postgres://h/d?{parameter}")).is_none(), "{parameter}");
        }
        assert!(PostgresUrl::parse("postgres://h/d?sslnegotiation=direct&sslmode=require").is_some());
        assert!(PostgresUrl::parse("postgres://h/d?").is_some());
    }

    #[test]
    fn no_password_is_shown() {
        let read = PostgresUrl::parse("postgres://u:hush@h/d").unwrap();
        assert!(!format!("{read:?}").contains("hush"));
    }
}
