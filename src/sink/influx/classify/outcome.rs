//! What became of a request, from the status of its answer; the body is read by a file for each API.

use super::{v2, v3};
use std::time::Duration;

use crate::sink::influx::Api;
use ingest_core::influx::field_types::Conflict;

/// What became of one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Every line is durable.
    Written,
    /// These lines were refused, each named by the server, in ascending order and each at most once.
    Refused {
        /// The refused lines; never empty.
        lines: Vec<RefusedLine>,
        /// Whether all the others are durable; else they are to be sent again.
        rest_written: bool,
    },
    /// The request was refused as a whole for what it holds (too large, or no line was named): send its halves. A
    /// single line that gets this answer is refused itself, for this cause.
    Halve {
        /// The server's words.
        message: String,
        /// What follows from them for a single line.
        cause: Cause,
    },
    /// Nothing is known to be written; the same request may succeed later (writing it twice changes nothing).
    Failed {
        /// What kind of failure it is.
        kind: FailureKind,
        /// A sentence for operators.
        message: String,
    },
}

/// Why a request failed, as far as it matters who ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It passes by itself; with the delay that the server asks for, where it names one.
    Passing(Option<Duration>),
    /// The server does not know the token: it takes no tenant's lines before an operator has seen to it.
    Token,
    /// The server has no room for the tenant's database.
    CapacityExceeded,
    /// The tenant's database is not there, and writing does not make it.
    Database,
    /// The server does not take this tenant's requests for another reason that an operator has to end.
    Request,
}

impl WriteOutcome {
    /// A failure that passes by itself.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        WriteOutcome::Failed { kind: FailureKind::Passing(None), message: message.into() }
    }

    /// A failure that an operator has to end.
    pub(super) fn lasting(kind: FailureKind, message: impl Into<String>) -> Self {
        WriteOutcome::Failed { kind, message: message.into() }
    }
}

/// A line that the server refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedLine {
    /// Index in the request, from 0.
    pub index: usize,
    /// The server's words.
    pub message: String,
    /// What follows from them.
    pub cause: Cause,
}

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A column holds another type: the line can be written without this one value, or with it in another form.
    Type(Conflict),
    /// The server has no room for another table: no fault of this line, so it stays owed.
    NoTable,
    /// The table, or a family of fields, has all the columns it can have, and the line brings another: it can be written
    /// without.
    NoColumn,
    /// The line itself can't be stored, whatever the server is given.
    Line,
}

/// What became of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provisioned {
    /// It was made.
    Made,
    /// It was there.
    Exists,
    /// It is there, but the server said something an operator should know.
    Warned(String),
    /// It is not there: the server holds as many as it can.
    NoRoom(String),
    /// It is not there.
    Failed(String),
}

/// Reads the answer to a request of `lines` lines. The API's own success alone confirms: a proxy's sign-in page is a 200,
/// too.
pub(crate) fn classify(
    api: Api,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    lines: usize,
) -> WriteOutcome {
    match status {
        204 => WriteOutcome::Written,
        200..=299 => WriteOutcome::lasting(
            FailureKind::Request,
            format!(
                "it answers a write with something else than 204, so it is not InfluxDB that answers: check INFLUXDB_URL \
                 ({})",
                said(status, body)
            ),
        ),
        400 if is_header_malformed(body) => WriteOutcome::lasting(
            FailureKind::Token,
            format!("it can't read the token: check INFLUXDB_TOKEN, which is the token alone ({})", said(status, body)),
        ),
        413 => WriteOutcome::Halve { message: said(status, body), cause: Cause::Line },
        401 => WriteOutcome::lasting(
            FailureKind::Token,
            format!("it does not accept the token: check INFLUXDB_TOKEN ({})", said(status, body)),
        ),
        403 => WriteOutcome::lasting(
            FailureKind::Request,
            format!("the token may not write here: check the permissions of INFLUXDB_TOKEN ({})", said(status, body)),
        ),
        408 | 425 | 429 | 500..=599 => {
            WriteOutcome::Failed { kind: FailureKind::Passing(retry_after), message: said(status, body) }
        }
        400 | 422 if api == Api::V2 => v2::refusal(status, body),
        400 | 422 => v3::refusal(status, body, lines),
        404 if api == Api::V2 => WriteOutcome::lasting(
            FailureKind::Database,
            format!(
                "it has no such bucket or organisation: create the bucket, or check INFLUXDB_BUCKET, INFLUXDB_ORG and \
                 INFLUXDB_URL ({})",
                said(status, body)
            ),
        ),
        _ => WriteOutcome::lasting(
            FailureKind::Request,
            format!("it does not understand the request: check INFLUXDB_URL and INFLUXDB_API ({})", said(status, body)),
        ),
    }
}

/// A server full of databases says so in these words, whichever API was asked (and with 422 or 400).
pub(super) fn no_capacity_for_database(message: &str, status: u16, body: &[u8]) -> Option<WriteOutcome> {
    const DATABASE_LIMIT: &str = "would exceed limit of";
    (message.contains(DATABASE_LIMIT) && message.contains("database")).then(|| {
        WriteOutcome::lasting(
            FailureKind::CapacityExceeded,
            format!(
                "it has no room for another database; InfluxDB 3 Core holds five, so more tenants need \
                 INFLUXDB_DATABASE_LAYOUT=shared, another server or another edition ({})",
                said(status, body)
            ),
        )
    })
}

/// A token with a blank in it, or with its scheme before it, makes a header that InfluxDB 3 can't read.
pub(crate) fn is_header_malformed(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("Authorization header was malformed")
}

/// What the server's words about a line mean.
pub(super) fn cause(message: &str) -> Cause {
    if let Some(conflict) = Conflict::parse(message) {
        Cause::Type(conflict)
    } else if !message.contains(SCHEMA_LIMIT) {
        Cause::Line
    } else if message.contains("number of tables limit") {
        Cause::NoTable
    } else {
        // "number of columns per table limit of 500 columns", "the field limit (100) for field family 'x'"
        Cause::NoColumn
    }
}

/// How InfluxDB 3 begins, when it can hold no more tables, columns or fields of a family.
pub(super) const SCHEMA_LIMIT: &str = "Update to schema would exceed";

/// The server's words without what they repeat of a line, for the log: what stands in quotation marks is left out, from the
/// first one to the last of its kind, for a name may hold some.
pub(crate) fn without_quotes(message: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(message.len()), message);
    while let Some(at) = rest.find(['`', '\'', '"']) {
        let (before, quoted) = rest.split_at(at);
        let mark = &quoted[..1];
        out.extend([before, mark, "..", mark]);
        let end = quoted.rfind(mark).filter(|end| *end > 0);
        rest = end.map_or("", |end| &quoted[end + 1..]);
    }
    out.push_str(rest);
    out
}

/// Reads the answer to a request for a database: `POST /api/v3/configure/database`.
pub(crate) fn database_made(status: u16, body: &[u8]) -> Provisioned {
    let is_empty = body.trim_ascii().is_empty();
    match status {
        200..=204 if is_empty => Provisioned::Made,
        200..=299 => {
            Provisioned::Failed(format!("it is not InfluxDB that answers: check INFLUXDB_URL ({})", said(status, body)))
        }
        409 => Provisioned::Exists,
        _ => match classify(Api::V3, status, None, body, 1) {
            WriteOutcome::Failed { kind: FailureKind::CapacityExceeded, message } => Provisioned::NoRoom(message),
            WriteOutcome::Failed { message, .. } => Provisioned::Failed(message),
            _ => Provisioned::Failed(said(status, body)),
        },
    }
}

/// Status and the beginning of the body, on one line: for logs and `/stats`.
pub(super) fn said(status: u16, body: &[u8]) -> String {
    const LONGEST: usize = 240;
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
    let text = text.trim().replace(['\n', '\r'], " ");
    if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") }
}
