//! The admin listener of a running node, as commands ask it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use awc::Client;
use awc::error::{PayloadError, SendRequestError};
use awc::http::StatusCode;
use awc::http::uri::{Scheme, Uri};
use bytes::Bytes;
use futures_util::Stream;
use thiserror::Error;

use crate::config::Config;
use crate::runtime::exit::Exit;
use crate::runtime::problem::Problem;

/// Longest wait for the head of an answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// Bytes that are read of a refusal.
const REFUSAL_BYTES: usize = 16 * 1024;

/// The body of an answer, as it comes.
pub(super) type Answer = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum AdminError {
    /// No key is set.
    #[error("no admin key: set ADMIN_KEY or ADMIN_KEY_FILE as for `run`, or name a file with --key-file")]
    NoKey,
    /// The key's file can't be read.
    #[error("--key-file {0}: {1}")]
    KeyFile(PathBuf, std::io::Error),
    /// The URL is none.
    #[error("--url {0}: http://HOST:PORT or https://HOST:PORT is needed")]
    Url(String),
    /// The listener does not answer.
    #[error("{url} can't be reached: {why}")]
    Away {
        /// The listener.
        url: String,
        /// The client's error.
        why: String,
    },
    /// The listener refuses.
    #[error("{url}: {status}: {detail}")]
    Refused {
        /// The listener.
        url: String,
        /// The status.
        status: StatusCode,
        /// Its sentence.
        detail: String,
    },
}

impl AdminError {
    /// How the process ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoKey | Self::KeyFile(..) | Self::Url(_) => Exit::Config,
            Self::Refused { status, .. } if matches!(status.as_u16(), 400 | 401) => Exit::Config,
            Self::Away { .. } | Self::Refused { .. } => Exit::Unavailable,
        }
    }
}

/// One node's admin listener.
#[derive(Clone)]
pub(super) struct Admin {
    client: Client,
    url: String,
    key: String,
}

impl Admin {
    /// The listener at this URL.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn at(url: &str, key: &str) -> Result<Self, AdminError> {
        let parsed: Option<Uri> = url.parse().ok();
        let is_http =
            |uri: &Uri| uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        if !parsed.is_some_and(|uri| is_http(&uri) && uri.host().is_some()) {
            return Err(AdminError::Url(url.to_owned()));
        }
        // The bodies of some answers have no end of their own; heads are waited for below.
        let client = Client::builder().disable_timeout().disable_redirects().finish();
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answer to `GET` of a path, with its query.
    ///
    /// # Errors
    /// Where there is none, or it is no 200.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, AdminError> {
        let request = self.client.get(format!("{}{path}", self.url)).insert_header(("X-Admin-Key", self.key.as_str()));
        let away = |why: String| AdminError::Away { url: self.url.clone(), why };
        let answer = tokio::time::timeout(ANSWER_BOUND, request.send()).await;
        let answer = answer.map_err(|_| away(format!("no answer within {} s", ANSWER_BOUND.as_secs())))?;
        let mut answer = answer.map_err(|error: SendRequestError| away(error.to_string()))?;
        if answer.status() == StatusCode::OK {
            return Ok(Box::pin(answer));
        }
        let body = tokio::time::timeout(ANSWER_BOUND, answer.body().limit(REFUSAL_BYTES)).await;
        let problem = body.ok().and_then(Result::ok).and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
        let detail = problem.map_or_else(|| "it says no more".to_owned(), |problem| problem.detail);
        Err(AdminError::Refused { url: self.url.clone(), status: answer.status(), detail })
    }
}

/// The key: of a file, else of the settings.
///
/// # Errors
/// Where there is none.
pub(super) fn key(config: &Config, file: Option<&Path>) -> Result<String, AdminError> {
    let key = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| AdminError::KeyFile(file.to_owned(), error))?
            .trim()
            .to_owned(),
        None => config.admin.key.expose().to_string(),
    };
    if key.is_empty() { Err(AdminError::NoKey) } else { Ok(key) }
}

/// Where the settings say that the listener is, as seen from this machine.
pub(super) fn local_url(config: &Config) -> String {
    let bind = config.admin.bind;
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, bind.port()))
}
