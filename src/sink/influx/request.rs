//! Requests to an InfluxDB server: the only place that speaks HTTP to it.
//!
//! - v3: `POST {INFLUXDB_URL}/api/v3/write_lp?db=..&precision=ns&accept_partial=true&no_sync=false`, the lines as body.
//!   With `no_sync=false` the answer comes when the lines are in the server's write-ahead log, up to its flush interval
//!   later (one second by default): that wait is what makes an answer worth an acknowledgement.
//! - v2: `POST {INFLUXDB_URL}/api/v2/write?org=..&bucket=..&precision=ns`.

use std::io::Write;
use std::time::{Duration, SystemTime};

use actix_rt::time::timeout;
use awc::ClientRequest;
use awc::error::{ConnectError, SendRequestError};
use awc::http::Uri;
use awc::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus_client::metrics::counter::Counter;

use super::classify::{WriteOutcome, classify};
use super::client::{Trust, client};
use super::error::{RequestError, SettingsError};
use super::{Api, Config};
use crate::metrics::{Per, RequestStatus};
use crate::runtime::secret::Secret;
use crate::runtime::tls;
use ingest_core::influx::names::query_value;

/// Longest answer that is read. A refused line costs about a hundred bytes of it, so a batch's worth fits easily.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// A server and how it wants to be asked.
#[derive(Clone, Debug)]
pub(super) struct Server {
    api: Api,
    /// Everything of a request's address before `/api`.
    base: String,
    org: Option<String>,
    token: Secret,
    trust: Trust,
    gzip_min_bytes: usize,
    timeout: Duration,
    requests: Per<RequestStatus, Counter>,
}

impl Server {
    /// The server at `url`, with the API, the token and the bounds of the configuration.
    ///
    /// # Errors
    /// When the URL, the token or the file of certificates can't be used.
    pub(super) fn new(url: &str, config: &Config) -> Result<Self, SettingsError> {
        authorization(config.target.api, &config.target.token)?;
        Ok(Self {
            api: config.target.api,
            base: base(url)?,
            org: config.target.org.clone(),
            token: config.target.token.clone(),
            trust: Trust::new(config.target.ca_file.as_deref())?,
            gzip_min_bytes: config.target.gzip_min_bytes,
            timeout: Duration::from_secs(config.target.request_timeout_secs),
            requests: Per::default(),
        })
    }

    /// Everything that keeps such a server from being used.
    pub(super) fn problems(url: &str, config: &Config) -> Vec<SettingsError> {
        let trust = Trust::new(config.target.ca_file.as_deref()).err().map(SettingsError::from);
        [base(url).err(), authorization(config.target.api, &config.target.token).err(), trust]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Counts its requests there from now on.
    pub(super) fn count_in(&mut self, requests: &Per<RequestStatus, Counter>) {
        self.requests = requests.clone();
    }

    /// How it is asked.
    pub(super) fn api(&self) -> Api {
        self.api
    }

    /// Where it is, without credentials.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// One of its databases or buckets.
    pub(super) fn database(&self, name: &str) -> Endpoint {
        let (base, place) = (&self.base, query_value(name));
        let uri = if self.api == Api::V2 {
            let org = self.org.as_deref().map(|org| format!("org={}&", query_value(org))).unwrap_or_default();
            format!("{base}/api/v2/write?{org}bucket={place}&precision=ns")
        } else {
            format!("{base}/api/v3/write_lp?db={place}&precision=ns&accept_partial=true&no_sync=false")
        };
        Endpoint { server: self.clone(), name: name.to_owned(), uri }
    }

    /// Sends a line that no server can read, so that nothing is written: by then it has checked the token, and looked for the
    /// bucket. With `accept_partial=false` InfluxDB 3 makes no database for it either. The status and what the server says.
    ///
    /// # Errors
    /// Where there was no answer.
    pub(super) async fn write_nothing(&self, database: &str) -> Result<(u16, String), RequestError> {
        const UNREADABLE: &[u8] = b"ingest-node-doctor\n";
        let uri = self.database(database).uri.replace("accept_partial=true", "accept_partial=false");
        let request = client(&self.trust).post(uri).insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"));
        self.ask(request, Bytes::from_static(UNREADABLE)).await
    }

    /// Asks for a database to be made: `POST /api/v3/configure/database`. The status and what the server says.
    ///
    /// # Errors
    /// Where there was no answer.
    pub(super) async fn create_database(&self, name: &str) -> Result<(u16, String), RequestError> {
        let request = client(&self.trust).post(format!("{}/api/v3/configure/database", self.base));
        let body = serde_json::json!({ "db": name }).to_string();
        self.ask(request.insert_header((CONTENT_TYPE, "application/json")), Bytes::from(body)).await
    }

    /// Asks for what is at a path. The status and what the server says.
    ///
    /// # Errors
    /// Where there was no answer.
    pub(super) async fn get(&self, path: &str) -> Result<(u16, String), RequestError> {
        self.ask(client(&self.trust).get(format!("{}{path}", self.base)), Bytes::new()).await
    }

    async fn ask(&self, request: ClientRequest, body: Bytes) -> Result<(u16, String), RequestError> {
        let asked = async {
            let sent = self.authorized(request).send_body(body).await;
            let mut response = sent.map_err(|error| self.unsent(&error))?;
            let status = response.status().as_u16();
            self.note(status);
            // The status alone says enough where the body broke off.
            let answer = response.body().limit(LONGEST_ANSWER).await.unwrap_or_default();
            self.requests.of(status.into()).inc();
            Ok((status, self.without_token(&String::from_utf8_lossy(&answer))))
        };
        match timeout(self.timeout, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(self.unanswered()),
        }
    }

    /// Counts a request that got no answer; why.
    fn unsent(&self, error: &SendRequestError) -> RequestError {
        let status = match error {
            SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => RequestStatus::Timeout,
            _ => RequestStatus::Connection,
        };
        self.requests.of(status).inc();
        let text = error.to_string();
        RequestError::Unsent(match advice(error, self.base.starts_with("https:")) {
            Some(advice) => self.without_token(&format!("{} ({advice})", tls::without_clock(&text))),
            None => self.without_token(&text),
        })
    }

    /// Counts a request whose answer did not come in time.
    fn unanswered(&self) -> RequestError {
        self.requests.of(RequestStatus::Timeout).inc();
        RequestError::Silent(self.timeout.as_secs())
    }

    fn authorized(&self, request: ClientRequest) -> ClientRequest {
        // The token may have been rotated to one that no header can carry: the server then asks for one.
        match authorization(self.api, &self.token) {
            Ok(Some(authorization)) => request.insert_header((AUTHORIZATION, authorization)),
            Ok(None) | Err(_) => request,
        }
    }

    /// Proxies like to repeat a request's headers in their error pages.
    fn without_token(&self, text: &str) -> String {
        match &*self.token.expose() {
            "" => text.to_owned(),
            token => text.replace(token, "***"),
        }
    }

    /// A token that is not accepted may have been rotated.
    fn note(&self, status: u16) {
        if matches!(status, 401 | 403) {
            self.token.report_refused();
        }
    }
}

/// What to do about a request that got no answer, where that is known. The client's errors name no causes.
fn advice(error: &SendRequestError, is_https: bool) -> Option<String> {
    match error {
        SendRequestError::Connect(ConnectError::Io(error)) if is_https => {
            tls::advice(error, "INFLUXDB_CA_FILE", "INFLUXDB_CA_FILE")
        }
        SendRequestError::Connect(ConnectError::Timeout) if is_https => {
            Some("it may not speak TLS at this port: check INFLUXDB_URL".to_owned())
        }
        SendRequestError::Send(_)
        | SendRequestError::Response(_)
        | SendRequestError::Connect(ConnectError::Disconnected) => {
            let other = if is_https { "may not speak HTTP" } else { "may speak TLS, or not HTTP" };
            Some(format!("it {other} at this port: check INFLUXDB_URL"))
        }
        _ => None,
    }
}

/// The header that carries the token, where there is one.
fn authorization(api: Api, token: &Secret) -> Result<Option<HeaderValue>, SettingsError> {
    let token = token.expose();
    if token.is_empty() {
        return Ok(None);
    }
    let scheme = if api == Api::V2 { "Token" } else { "Bearer" };
    let mut value = HeaderValue::try_from(format!("{scheme} {token}")).map_err(|_| SettingsError::Token)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Where the API of the server at `url` begins. The URL may have a path (a proxy's prefix), no query, and nothing of the API.
fn base(url: &str) -> Result<String, SettingsError> {
    let parsed: Option<Uri> = url.trim().parse().ok();
    let parts = parsed.as_ref().and_then(|url| Some((url.scheme_str()?, url.authority()?, url.path(), url.query())));
    let Some((scheme @ ("http" | "https"), authority, path, None)) = parts else {
        return Err(SettingsError::Url);
    };
    let path = path.trim_end_matches('/');
    if ["/api/v2", "/api/v3"].iter().any(|api| path.ends_with(api) || path.contains(&format!("{api}/"))) {
        return Err(SettingsError::UrlOfApi);
    }
    Ok(format!("{scheme}://{authority}{path}"))
}

/// A database or bucket at a server.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    server: Server,
    name: String,
    uri: String,
}

impl Endpoint {
    /// Asks in SQL: `POST /api/v3/query_sql`. The status and what the server says.
    ///
    /// # Errors
    /// Where there was no answer.
    pub(super) async fn query_sql(&self, sql: &str) -> Result<(u16, String), RequestError> {
        let server = &self.server;
        let request = client(&server.trust).post(format!("{}/api/v3/query_sql", server.base));
        let body = serde_json::json!({ "db": self.name, "q": sql, "format": "json" }).to_string();
        server.ask(request.insert_header((CONTENT_TYPE, "application/json")), Bytes::from(body)).await
    }

    /// Sends one request and reads its answer; `lines` lines, each ended by a line feed.
    pub(super) async fn write(self, body: Bytes, lines: usize) -> WriteOutcome {
        match timeout(self.server.timeout, self.send(body, lines)).await {
            Ok(outcome) => outcome,
            Err(_) => WriteOutcome::passing(self.server.unanswered().to_string()),
        }
    }

    async fn send(&self, body: Bytes, lines: usize) -> WriteOutcome {
        let server = &self.server;
        let request = client(&server.trust).post(&*self.uri).insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"));
        let request = server.authorized(request);
        let is_large = server.gzip_min_bytes > 0 && body.len() >= server.gzip_min_bytes;
        let sent = match if is_large { compressed(body.clone()).await } else { None } {
            Some(compressed) => request.insert_header((CONTENT_ENCODING, "gzip")).send_body(compressed).await,
            None => request.send_body(body).await,
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return WriteOutcome::passing(server.unsent(&error).to_string()),
        };
        let status = response.status().as_u16();
        server.note(status);
        let retry_after = retry_after(response.headers(), SystemTime::now());
        // The status alone says enough where the body broke off.
        let answer = response.body().limit(LONGEST_ANSWER).await.unwrap_or_default();
        server.requests.of(status.into()).inc();
        // Whatever answers may repeat what it was sent; only of a 204 nobody reads the body.
        let answer = match status == 204 || server.token.is_empty() {
            true => answer,
            false => server.without_token(&String::from_utf8_lossy(&answer)).into(),
        };
        classify(server.api, status, retry_after, &answer, lines)
    }
}

/// Off the actors' threads: a large batch would hold up their other tenants. `None` where that failed; it goes as it is then.
async fn compressed(body: Bytes) -> Option<Vec<u8>> {
    let work = move || {
        // Fast: lines repeat themselves so much that more effort gains little.
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        encoder.write_all(&body).and_then(|()| encoder.finish()).ok()
    };
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// `Retry-After`, as a number of seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::influx::config::with;

    fn uri(url: &str) -> Result<String, SettingsError> {
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
    fn a_bucket_is_asked_for_in_the_words_of_the_v2_api() {
        let config = with(Config::default(), |config| {
            config.target.api = Api::V2;
            config.target.org = Some("my org".to_owned());
        });
        let bucket = |config: &Config| Server::new("http://influx:8086", config).unwrap().database("a&b").uri;
        assert_eq!(bucket(&config), "http://influx:8086/api/v2/write?org=my%20org&bucket=a%26b&precision=ns");
        let config = with(config, |config| config.target.org = None);
        assert_eq!(bucket(&config), "http://influx:8086/api/v2/write?bucket=a%26b&precision=ns");
    }

    #[test]
    fn an_unusable_url_is_one_plain_sentence() {
        for url in ["", "influx:8181", "ftp://influx", "http://", "http://influx:8181?db=x", "/x", "http://a b"] {
            let error = uri(url).unwrap_err().to_string();
            assert!(error.contains("INFLUXDB_URL must look like"), "{url}: {error}");
        }
        for path in ["/api/v3/write_lp", "/api/v2/write", "/api/v2/", "/proxy/api/v3/write_lp/"] {
            let error = uri(&format!("http://influx:8181{path}")).unwrap_err().to_string();
            assert!(error.contains("INFLUXDB_URL must be the server's URL alone"), "{path}: {error}");
        }
        assert!(uri("http://influx:8181/api/v3x").is_ok());
    }

    #[test]
    fn all_that_is_wrong_with_a_server_is_told_at_once() {
        let config = with(Config::default(), |config| {
            config.target.token = Secret::new("a\nb");
            config.target.ca_file = Some("/nonexistent/ca.pem".into());
        });
        let problems = Server::problems("influx:8181", &config);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(Server::problems("http://influx", &Config::default()).is_empty());
    }

    #[test]
    fn an_unusable_token_is_told_without_the_token() {
        let config = with(Config::default(), |config| config.target.token = Secret::new("tok\nen"));
        let error = Server::new("http://influx", &config).unwrap_err().to_string();
        assert!(error.contains("INFLUXDB_TOKEN") && !error.contains("tok\nen"), "{error}");
    }

    #[test]
    fn a_token_shows_neither_in_a_log_nor_in_a_repeated_answer() {
        let config = with(Config::default(), |config| config.target.token = Secret::new("apiv3_secret"));
        let endpoint = Server::new("http://influx", &config).unwrap().database("d");
        assert!(!format!("{endpoint:?}").contains("apiv3_secret"));
        assert_eq!(endpoint.server.without_token("got Bearer apiv3_secret!"), "got Bearer ***!");
    }

    #[test]
    fn the_servers_retry_after_is_read_in_both_its_forms() {
        let mut headers = HeaderMap::new();
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        assert_eq!(retry_after(&headers, now), None);
        for (text, seconds) in [
            ("120", Some(120)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(59)),
            ("Fri, 31 Dec 1999 23:58:00 GMT", None),
            ("soon", None),
        ] {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
