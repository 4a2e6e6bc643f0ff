//! The only place that reads InfluxDB's answers.
//!
//! Status codes alone do not tell what may pass from what never will (a partial success is a 400 too, limits are 422 or
//! 400), and error bodies come without a content type, sometimes as plain text. So the rule is: data is given up only on
//! an answer that names the line, or to a single line; everything that is not understood keeps the data and asks for an
//! operator.

mod v2;
mod v3;

use std::time::Duration;

use super::Api;
use crate::core::field_types::Conflict;

/// What became of one request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
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
        trouble: Trouble,
        /// A sentence for operators.
        message: String,
    },
}

/// Why a request failed, as far as it matters who ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It passes by itself; with the server's wish how long to wait.
    Passing(Option<Duration>),
    /// The server does not know the token: it takes no tenant's lines before an operator has seen to it.
    Token,
    /// The server has no room for the tenant's database.
    Room,
    /// The server does not take this tenant's requests for another reason that an operator has to end.
    Request,
}

impl Outcome {
    /// A failure that passes by itself.
    pub fn passing(message: impl Into<String>) -> Self {
        Outcome::Failed { trouble: Trouble::Passing(None), message: message.into() }
    }

    /// A failure that an operator has to end.
    fn lasting(trouble: Trouble, message: impl Into<String>) -> Self {
        Outcome::Failed { trouble, message: message.into() }
    }
}

/// A line that the server refused.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// Index in the request, from 0.
    pub index: usize,
    /// The server's words.
    pub message: String,
    /// What follows from them.
    pub cause: Cause,
}

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A column holds another type: the line can be written without this one value, or with it in another form.
    Type(Conflict),
    /// The server has no room for another table: no fault of this line, so it stays owed.
    NoTable,
    /// The table has all the columns it can have, and the line brings another: it can't be stored, and for good.
    NoColumn,
    /// The line itself can't be stored, whatever the server is given.
    Line,
}

/// What became of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provisioned {
    /// It was made.
    Made,
    /// It was there.
    Exists,
    /// It is there, but the server said something an operator should know.
    Warned(String),
    /// It is not there.
    Failed(String),
}

/// Reads the answer to a request of `lines` lines.
pub fn classify(api: Api, status: u16, retry_after: Option<Duration>, body: &[u8], lines: usize) -> Outcome {
    match status {
        200..=299 => Outcome::Written,
        413 => Outcome::Halve { message: said(status, body), cause: Cause::Line },
        401 => Outcome::lasting(
            Trouble::Token,
            format!("it does not accept the token: check INFLUXDB_TOKEN ({})", said(status, body)),
        ),
        403 => Outcome::lasting(
            Trouble::Request,
            format!("the token may not write here: check the permissions of INFLUXDB_TOKEN ({})", said(status, body)),
        ),
        408 | 425 | 429 | 500..=599 => {
            Outcome::Failed { trouble: Trouble::Passing(retry_after), message: said(status, body) }
        }
        400 | 422 if api == Api::V2 => v2::refusal(status, body),
        400 | 422 => v3::refusal(status, body, lines),
        404 if api == Api::V2 => Outcome::lasting(
            Trouble::Request,
            format!(
                "it has no such bucket or organisation: create the bucket, or check INFLUXDB_BUCKET, INFLUXDB_ORG and \
                 INFLUXDB_URL ({})",
                said(status, body)
            ),
        ),
        _ => Outcome::lasting(
            Trouble::Request,
            format!("it does not understand the request: check INFLUXDB_URL and INFLUXDB_API ({})", said(status, body)),
        ),
    }
}

/// A server full of databases says so in these words, whichever API was asked (and with 422 or 400).
fn no_room_for_database(message: &str, status: u16, body: &[u8]) -> Option<Outcome> {
    const DATABASE_LIMIT: &str = "would exceed limit of";
    (message.contains(DATABASE_LIMIT) && message.contains("database")).then(|| {
        Outcome::lasting(
            Trouble::Room,
            format!(
                "it has no room for another database; InfluxDB 3 Core holds five, so more tenants need \
                 INFLUXDB_DATABASE_LAYOUT=shared, another server or another edition ({})",
                said(status, body)
            ),
        )
    })
}

/// What the server's words about a line mean.
fn cause(message: &str) -> Cause {
    const TABLE_LIMIT: &str = "number of tables limit";
    const COLUMN_LIMIT: &str = "number of columns per table limit";
    if let Some(conflict) = Conflict::parse(message) {
        Cause::Type(conflict)
    } else if message.contains(TABLE_LIMIT) {
        Cause::NoTable
    } else if message.contains(COLUMN_LIMIT) {
        Cause::NoColumn
    } else {
        Cause::Line
    }
}

/// Reads the answer to a request for a database: `POST /api/v3/configure/database`.
pub fn database_made(status: u16, body: &[u8]) -> Provisioned {
    match status {
        200..=299 => Provisioned::Made,
        409 => Provisioned::Exists,
        _ => match classify(Api::V3, status, None, body, 1) {
            Outcome::Failed { message, .. } => Provisioned::Failed(message),
            _ => Provisioned::Failed(said(status, body)),
        },
    }
}

/// Status and the beginning of the body, on one line: for logs and `/stats`.
fn said(status: u16, body: &[u8]) -> String {
    const LONGEST: usize = 240;
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
    let text = text.trim().replace(['\n', '\r'], " ");
    if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") }
}

#[cfg(test)]
mod tests;
