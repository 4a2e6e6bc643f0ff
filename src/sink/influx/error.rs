//! What keeps the settings of InfluxDB from being used, and requests that got no answer.

use thiserror::Error;

use crate::runtime::tls::TlsFilesError;
use ingest_core::influx::names::TENANT_PLACE;

/// A setting of InfluxDB, or two of them together, that can't be used: one sentence, without the token.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// There is no server.
    #[error("INFLUXDB_API=v2 needs INFLUXDB_URL")]
    NoUrl,
    /// The URL is none.
    #[error("INFLUXDB_URL must look like http://host:8181 or https://host/path")]
    Url,
    /// The URL names an endpoint of the API.
    #[error(
        "INFLUXDB_URL must be the server's URL alone, such as http://host:8181: the node adds what follows from /api on"
    )]
    UrlOfApi,
    /// The token is no token.
    #[error("INFLUXDB_TOKEN holds characters that no HTTP header can carry")]
    Token,
    /// One bucket for all, and one for each.
    #[error("INFLUXDB_DATABASE_LAYOUT=shared and INFLUXDB_BUCKET with {TENANT_PLACE} exclude each other")]
    SharedBuckets,
    /// The file of certificates.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
}

/// Why a request got no answer.
#[derive(Debug, Error)]
pub(crate) enum RequestError {
    /// The client's error, with what to do where that is known, and without the token.
    #[error("{0}")]
    Unsent(String),
    /// Nothing came back within the bound, in seconds.
    #[error("no answer within {0} s")]
    Silent(u64),
}

/// Why a server could not be looked at.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    /// It did not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is another kind of server.
    #[error("GET {0} has an unexpected answer")]
    Unexpected(&'static str),
    /// The token may not look.
    #[error("GET {0} is not allowed: check INFLUXDB_TOKEN")]
    Denied(&'static str),
    /// The token holds more than the token.
    #[error("GET {0}: it can't read the token: check INFLUXDB_TOKEN, which is the token alone")]
    Token(&'static str),
    /// Any other status.
    #[error("GET {0} is answered with status {1}: check INFLUXDB_URL and INFLUXDB_API")]
    Status(&'static str, u16),
}
