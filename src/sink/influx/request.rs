//! One write request to an InfluxDB 3 server: the only place that speaks HTTP to it.
//!
//! `POST {INFLUXDB_URL}/api/v3/write_lp?db=..&precision=ns&accept_partial=true&no_sync=false`, the lines as body. With
//! `no_sync=false` the answer comes when the lines are in the server's write-ahead log, up to its flush interval later
//! (one second by default): that wait is what makes an answer worth an acknowledgement.

use std::cell::OnceCell;
use std::time::Duration;

use actix_rt::time::timeout;
use awc::http::Uri;
use awc::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use awc::{Client, ClientRequest, Connector};
use bytes::Bytes;

use super::Config;
use super::classify::{Outcome, classify};
use crate::secret::Secret;

/// How long connecting may take: a host that is gone should not hold a batch for the time a slow write may need.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer that is read. A refused line costs about a hundred bytes of it, so a batch's worth fits easily.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

thread_local! {
    /// `awc::Client` can't leave its thread; one per thread, so that all tenants share its connections.
    static CLIENT: OnceCell<Client> = const { OnceCell::new() };
}

fn client() -> Client {
    CLIENT.with(|client| client.get_or_init(build_client).clone())
}

fn build_client() -> Client {
    Client::builder()
        // No limit on connections: requests in flight are bounded per tenant, and a common limit would let the tenants
        // whose database hangs starve the others.
        .connector(Connector::new().timeout(CONNECT_TIMEOUT).limit(0))
        .add_default_header(("User-Agent", concat!("ingest-node/", env!("CARGO_PKG_VERSION"))))
        .disable_redirects()
        .disable_timeout()
        .finish()
}

/// A server and how it wants to be asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// Everything of a request's address before `/api`.
    base: String,
    authorization: Option<HeaderValue>,
    token: Secret,
    timeout: Duration,
}

impl Server {
    /// The server at `url`, with the token and the bounds of the configuration.
    ///
    /// # Errors
    /// A sentence for operators when the URL or the token can't be used.
    pub fn new(url: &str, config: &Config) -> Result<Self, String> {
        let token = config.token.expose();
        let authorization = if token.is_empty() {
            None
        } else {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| "INFLUXDB_TOKEN holds characters that no HTTP header can carry".to_owned())?;
            value.set_sensitive(true);
            Some(value)
        };
        Ok(Self {
            base: base(url).ok_or("INFLUXDB_URL must look like http://host:8181 or https://host/path")?,
            authorization,
            token: config.token.clone(),
            timeout: Duration::from_secs(config.request_timeout_secs),
        })
    }

    /// One of its databases.
    pub fn database(&self, name: &str) -> Endpoint {
        let uri = format!("{}/api/v3/write_lp?db={name}&precision=ns&accept_partial=true&no_sync=false", self.base);
        Endpoint { server: self.clone(), uri }
    }

    /// Asks for a database to be made: `POST /api/v3/configure/database`. The status and what the server says.
    ///
    /// # Errors
    /// A sentence, where there was no answer.
    pub async fn create_database(&self, name: &str) -> Result<(u16, String), String> {
        let request = self.authorized(client().post(format!("{}/api/v3/configure/database", self.base)));
        let asked = async {
            let sent = request.send_json(&serde_json::json!({ "db": name })).await;
            let mut response = sent.map_err(|error| self.without_token(&error.to_string()))?;
            let status = response.status().as_u16();
            // The status alone says enough where the body broke off.
            let answer = response.body().limit(LONGEST_ANSWER).await.unwrap_or_default();
            Ok((status, self.without_token(&String::from_utf8_lossy(&answer))))
        };
        match timeout(self.timeout, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} s", self.timeout.as_secs())),
        }
    }

    fn authorized(&self, request: ClientRequest) -> ClientRequest {
        match &self.authorization {
            Some(authorization) => request.insert_header((AUTHORIZATION, authorization.clone())),
            None => request,
        }
    }

    /// Proxies like to repeat a request's headers in their error pages.
    fn without_token(&self, text: &str) -> String {
        match self.token.expose() {
            "" => text.to_owned(),
            token => text.replace(token, "***"),
        }
    }
}

/// Where the API of the server at `url` begins. The URL may have a path (a proxy's prefix), no query.
fn base(url: &str) -> Option<String> {
    let url: Uri = url.trim().parse().ok()?;
    let (scheme @ ("http" | "https"), authority, None) = (url.scheme_str()?, url.authority()?, url.query()) else {
        return None;
    };
    Some(format!("{scheme}://{authority}{}", url.path().trim_end_matches('/')))
}

/// A tenant's database at a server.
#[derive(Clone, Debug)]
pub struct Endpoint {
    server: Server,
    uri: String,
}

impl Endpoint {
    /// Sends one request and reads its answer; `lines` lines, each ended by a line feed.
    pub async fn write(self, body: Bytes, lines: usize) -> Outcome {
        match timeout(self.server.timeout, self.send(body, lines)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::transient(format!("no answer within {} s", self.server.timeout.as_secs())),
        }
    }

    async fn send(&self, body: Bytes, lines: usize) -> Outcome {
        let request = client().post(&*self.uri).insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"));
        let request = self.server.authorized(request);
        let mut response = match request.send_body(body).await {
            Ok(response) => response,
            Err(error) => return Outcome::transient(self.server.without_token(&error.to_string())),
        };
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        match response.body().limit(LONGEST_ANSWER).await {
            Ok(answer) if response.status().is_success() => classify(status, retry_after, &answer, lines),
            Ok(answer) => classify(
                status,
                retry_after,
                self.server.without_token(&String::from_utf8_lossy(&answer)).as_bytes(),
                lines,
            ),
            // The status alone says enough where the body broke off.
            Err(_) => classify(status, retry_after, b"", lines),
        }
    }
}

/// `Retry-After` in its form as a number of seconds; the form as a date is not worth a parser here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(url: &str) -> Result<String, String> {
        Ok(Server::new(url, &Config::default())?.database("telemetry_acme").uri)
    }

    #[test]
    fn a_request_says_what_it_wants_instead_of_trusting_defaults() {
        for url in ["http://influx:8181", "http://influx:8181/", " http://influx:8181\n"] {
            assert_eq!(
                uri(url).unwrap(),
                "http://influx:8181/api/v3/write_lp?db=telemetry_acme&precision=ns&accept_partial=true&no_sync=false"
            );
        }
        assert!(uri("https://example.com/influx/").unwrap().starts_with("https://example.com/influx/api/v3/write_lp?"));
    }

    #[test]
    fn an_unusable_url_is_one_plain_sentence() {
        for url in ["", "influx:8181", "ftp://influx", "http://", "http://influx:8181?db=x", "/x", "http://a b"] {
            let error = uri(url).unwrap_err();
            assert!(error.contains("INFLUXDB_URL"), "{url}: {error}");
        }
    }

    #[test]
    fn an_unusable_token_is_told_without_the_token() {
        let config = Config { token: Secret::new("tok\nen"), ..Config::default() };
        let error = Server::new("http://influx", &config).unwrap_err();
        assert!(error.contains("INFLUXDB_TOKEN") && !error.contains("tok\nen"), "{error}");
    }

    #[test]
    fn a_token_shows_neither_in_a_log_nor_in_a_repeated_answer() {
        let config = Config { token: Secret::new("apiv3_secret"), ..Config::default() };
        let endpoint = Server::new("http://influx", &config).unwrap().database("d");
        assert!(!format!("{endpoint:?}").contains("apiv3_secret"));
        assert_eq!(endpoint.server.without_token("got Bearer apiv3_secret!"), "got Bearer ***!");
    }

    #[test]
    fn the_servers_wish_to_wait_is_read_as_seconds() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Fri, 31 Dec 1999 23:59:59 GMT"));
        assert_eq!(retry_after(&headers), None);
    }
}
