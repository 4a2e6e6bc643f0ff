//! The HTTP side: parameters, tokens, sizes, encodings, and the bodies of answers.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use rustls::ServerConfig;
use serde_json::json;

use super::control::{Failure, Shared};
use super::lines::Precision;
use super::store::{WriteError, Written};
use super::{query, v2};

/// Largest body, on the wire and unpacked.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// Runs the server on this thread until it is stopped; reports through `started` whether it listens.
pub(super) fn run(
    shared: Arc<Shared>,
    port: u16,
    tls: Option<ServerConfig>,
    started: &Sender<std::io::Result<ServerHandle>>,
) {
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            App::new()
                .app_data(web::Data::from(shared.clone()))
                .route("/api/v3/write_lp", web::post().to(write))
                .route("/api/v2/write", web::post().to(write))
                .route("/api/v3/query_sql", web::post().to(query::query_sql))
                .route("/api/v3/configure/database", web::post().to(create_database))
                .route("/api/v3/configure/database", web::get().to(list_databases))
                .route("/api/v3/configure/database", web::delete().to(delete_database))
                .route("/health", web::get().to(health))
                .route("/api/v1/health", web::get().to(health))
                .route("/ping", web::get().to(ping))
                .route("/ping", web::post().to(ping))
                .default_service(web::to(|| async { text(404, "Not found") }))
        };
        let (server, address) =
            (HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(0), ("127.0.0.1", port));
        let server = match tls {
            Some(tls) => server.bind_rustls_0_23(address, tls),
            None => server.bind(address),
        };
        match server.map(HttpServer::run) {
            Ok(server) => {
                let _ = started.send(Ok(server.handle()));
                let _ = server.await;
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

async fn write(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    shared.count_request();
    if let Err(answer) = authorise(&request, &shared) {
        return answer.into();
    }
    let is_v2 = request.path() == v2::PATH;
    let parse = if is_v2 { v2::parameters } else { Parameters::parse };
    let parameters = match parse(request.query_string()) {
        Ok(parameters) => parameters,
        Err(message) => return text(400, &message),
    };
    if !shared.count_only {
        shared.writes().push((parameters.database.clone(), Instant::now()));
    }
    let max_body = shared.knobs().max_body.unwrap_or(MAX_BODY);
    if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
        shared.count_compressed();
    }
    let body = match read(&request, payload, max_body).await {
        Ok(body) => body,
        Err(answer) => return answer.into(),
    };
    if let Some(mut journal) = shared.journal() {
        journal.arrived(&parameters.database, &body, now_ns());
    }
    obey(&shared, &parameters.database).await;
    if let Some(failure) = shared.take_failure() {
        return fail(&failure);
    }
    if shared.count_only {
        if let Some(mut journal) = shared.journal() {
            journal.written(&body);
        }
        let newlines = body.iter().filter(|byte| **byte == b'\n').count();
        shared.count_lines(newlines + usize::from(body.last().is_some_and(|byte| *byte != b'\n')), 0, 0, 0);
        return done();
    }
    let body = match std::str::from_utf8(&body) {
        Ok(body) => body,
        Err(error) => return text(400, &format!("body content is not valid utf8: {error}")),
    };
    if shared.knobs().unreadable.as_deref().is_some_and(|text| body.contains(text)) {
        return text(400, r#"{"error":"line protocol parsing error"}"#);
    }
    let Parameters { database, precision, partial } = parameters;
    let written = shared.store().write(&database, body, precision, partial, now_ns());
    if let Ok(written) = &written {
        shared.count_lines(written.lines, written.errors.len(), written.poison, written.untimed);
        // What is durable is answered with the next flush of the log, what is refused at once.
        if written.lines > 0 {
            shared.next_flush().await;
        }
    }
    match written {
        Ok(written) if is_v2 => v2::report(&written),
        Ok(written) => report(&written, partial),
        Err(refused) if is_v2 => v2::refusal(&refused),
        Err(refused) => refusal(&refused),
    }
}

/// Waits as long as a test wants the answer to wait.
async fn obey(shared: &Shared, database: &str) {
    let latency = shared.knobs().latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    while shared.hangs(database) {
        tokio::time::sleep(Duration::from_millis(10)).await; // polls until the test releases
    }
}

fn report(written: &Written, partial: bool) -> HttpResponse {
    let error = |of: &super::store::LineError| json!({"error_message": of.message, "line_number": of.number, "original_line": of.original});
    let Some(first) = written.errors.first() else { return done() };
    if partial {
        let errors: Vec<_> = written.errors.iter().map(error).collect();
        let status = if written.limit { 422 } else { 400 };
        text(status, &json!({"error": "partial write of line protocol occurred", "data": errors}).to_string())
    } else {
        text(400, &json!({"error": "line protocol parsing error", "data": error(first)}).to_string())
    }
}

fn refusal(refused: &WriteError) -> HttpResponse {
    match refused {
        WriteError::Name(message) => text(400, &json!({"error": message}).to_string()),
        WriteError::Limit(message) => text(422, &json!({"error": message}).to_string()),
        WriteError::Empty => text(400, "incoming write was empty"),
    }
}

async fn create_database(request: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    if let Err(answer) = authorise(&request, &shared) {
        return answer.into();
    }
    let json_sent = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !json_sent {
        return text(415, "unacceptable content-type, expected: application/json");
    }
    let body: serde_json::Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return text(400, &format!("serde json error: {error}")),
    };
    let Some(name) = body["db"].as_str() else { return text(400, "serde json error: missing field `db`") };
    let mut store = shared.store();
    if store.exists(name) {
        return text(409, "attempted to create a resource that already exists");
    }
    match store.open(name) {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(refused) => refusal(&refused),
    }
}

async fn list_databases(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    if let Err(answer) = authorise(&request, &shared) {
        return answer.into();
    }
    if !parameters(request.query_string()).any(|(key, _)| key == "format") {
        return text(400, "serde error: missing field `format`");
    }
    let names = ["_internal".to_owned()].into_iter().chain(shared.store().databases());
    HttpResponse::Ok().json(names.map(|name| json!({"iox::database": name})).collect::<Vec<_>>())
}

async fn delete_database(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    if let Err(answer) = authorise(&request, &shared) {
        return answer.into();
    }
    let name = parameters(request.query_string()).find(|(key, _)| key == "db").map(|(_, name)| name);
    match name {
        Some(name) if shared.store().remove(&name) => HttpResponse::Ok().finish(),
        _ => text(404, "not found"),
    }
}

async fn health(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    match authorise(&request, &shared) {
        Ok(()) => HttpResponse::Ok().content_type("text/plain").body("OK"),
        Err(answer) => answer.into(),
    }
}

async fn ping(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    match authorise(&request, &shared) {
        Ok(()) => HttpResponse::Ok()
            .insert_header(("X-Influxdb-Version", "3.10.1"))
            .insert_header(("X-Influxdb-Build", "Core"))
            .json(json!({"product_name": "InfluxDB 3 Core", "version": "3.10.1", "revision": "stand-in", "process_id": "0"})),
        Err(answer) => answer.into(),
    }
}

/// An answer that ends a request early.
pub(super) struct ErrorAnswer(u16, String);

impl From<ErrorAnswer> for HttpResponse {
    fn from(ErrorAnswer(status, body): ErrorAnswer) -> Self {
        text(status, &body)
    }
}

fn refuse(status: u16, body: &str) -> ErrorAnswer {
    ErrorAnswer(status, body.to_owned())
}

pub(super) fn authorise(request: &HttpRequest, shared: &Shared) -> Result<(), ErrorAnswer> {
    let Some(token) = shared.knobs().token.clone() else { return Ok(()) };
    let unauthenticated = || refuse(401, r#"{"error": "the request was not authenticated"}"#);
    let malformed = || {
        refuse(
            400,
            r#"{"error": "Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic"}"#,
        )
    };
    let Some(header) = request.headers().get(AUTHORIZATION) else { return Err(unauthenticated()) };
    let header = header.to_str().map_err(|_| malformed())?;
    let (scheme, given) = header.split_once(' ').filter(|(_, given)| !given.is_empty()).ok_or_else(malformed)?;
    let given = match scheme {
        "Bearer" | "Token" if !given.contains(' ') => given.to_owned(),
        "Basic" => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(given).map_err(|_| malformed())?;
            let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
            decoded.split_once(':').ok_or_else(malformed)?.1.to_owned()
        }
        _ => return Err(malformed()),
    };
    if given == token { Ok(()) } else { Err(unauthenticated()) }
}

/// Reads the body through to its end, unpacks it, and minds its size.
async fn read(request: &HttpRequest, mut payload: web::Payload, max_body: usize) -> Result<Bytes, ErrorAnswer> {
    let too_large = || refuse(413, &format!("max request size ({max_body} bytes) exceeded"));
    let (mut body, mut size) = (BytesMut::new(), 0);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| refuse(400, &error.to_string()))?;
        size += chunk.len();
        if size <= max_body {
            body.extend_from_slice(&chunk);
        }
    }
    if size > max_body {
        return Err(too_large());
    }
    match request.headers().get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        None | Some(b"identity") => Ok(body.freeze()),
        Some(b"gzip") => {
            let mut unpacked = Vec::new();
            MultiGzDecoder::new(&body[..])
                .take(max_body as u64 + 1)
                .read_to_end(&mut unpacked)
                .map_err(|error| refuse(400, &format!("error decoding gzip stream: {error}")))?;
            if unpacked.len() > max_body { Err(too_large()) } else { Ok(unpacked.into()) }
        }
        Some(other) => Err(refuse(400, &format!("unacceptable content-encoding: {}", String::from_utf8_lossy(other)))),
    }
}

/// The parameters of a write.
pub(super) struct Parameters {
    pub database: String,
    pub precision: Precision,
    pub partial: bool,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, String> {
        if query.is_empty() {
            return Err("missing query parameter 'db'".to_owned());
        }
        let (mut database, mut precision, mut partial) = (None, Precision::Auto, true);
        for (key, value) in parameters(query) {
            match key.as_str() {
                "db" if database.is_some() => return Err("serde error: duplicate field `db`".to_owned()),
                "db" => database = Some(value),
                "precision" => {
                    precision = Precision::parse(&value).ok_or_else(|| {
                        format!(
                            "serde error: unknown variant `{value}`, expected one of `auto`, `s`, `second`, `ms`, \
                             `millisecond`, `us`, `u`, `microsecond`, `ns`, `n`, `nanosecond`"
                        )
                    })?;
                }
                "accept_partial" => partial = boolean(&value)?,
                "no_sync" => drop(boolean(&value)?),
                _ => {}
            }
        }
        let database = database.ok_or("serde error: missing field `db`")?;
        Ok(Self { database, precision, partial })
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "serde error: provided string was not `true` or `false`".to_owned())
}

/// Splits and decodes a query string.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let escaped = (*byte == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            None => decoded.push(if *byte == b'+' { b' ' } else { *byte }),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header(("access-control-allow-origin", "*"))
        .insert_header(("cluster-uuid", "00000000-0000-0000-0000-000000000000"))
        .finish()
}

fn fail(Failure { status, retry_after, body }: &Failure) -> HttpResponse {
    let mut answer = text(*status, body.as_deref().unwrap_or("ordered by a test"));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, (*seconds).into());
    }
    answer
}

/// An answer without a Content-Type, as the real server gives its errors.
pub(super) fn text(status: u16, body: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).body(body.to_owned())
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
