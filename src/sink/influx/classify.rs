//! The only place that reads InfluxDB's answers.
//!
//! Status codes alone do not tell what may pass from what never will (a partial success is a 400 too, limits are 422 or
//! 400), and error bodies come without a content type, sometimes as plain text. So the rule is: data is given up only on
//! an answer that names the line; everything that is not understood keeps the data and asks for an operator.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::provision::Provisioned;
use crate::core::field_types::{self, Conflict};
use crate::sink::Fault;

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
    /// single line that gets this answer is refused itself.
    Halve(String),
    /// Nothing is known to be written; the same request may succeed later (writing it twice changes nothing).
    Failed {
        /// `Transient` passes by itself; `Fatal` waits for an operator. Never `Poison`.
        fault: Fault,
        /// The server's wish.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// A fault that passes by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Outcome::Failed { fault: Fault::Transient(message.into()), retry_after: None }
    }

    /// A fault that an operator has to end.
    pub fn fatal(message: impl Into<String>) -> Self {
        Outcome::Failed { fault: Fault::Fatal(message.into()), retry_after: None }
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
#[derive(Debug, PartialEq, Eq)]
pub enum Cause {
    /// A column holds another type: the line can be written without this one value, or with it in another form.
    Type(Conflict),
    /// The server has no room for another table: no fault of this line, so it stays owed.
    NoRoom,
    /// The line itself can't be stored, whatever the server is given. A table with all the columns it can have belongs
    /// here too: it refuses just those lines that bring another metric's name, and for good.
    Line,
}

const PARTIAL_WRITE: &str = "partial write of line protocol occurred";
const PARSING_ERROR: &str = "line protocol parsing error";
const DATABASE_LIMIT: &str = "would exceed limit of";
const TABLE_LIMIT: &str = "number of tables limit";

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Data<'a> {
    #[serde(borrow)]
    Many(Vec<LineError<'a>>),
    #[serde(borrow)]
    One(LineError<'a>),
}

/// `line_number` counts from 1, and only lines that are neither blank nor comments, of which we send none.
/// `original_line` is cut to 20 bytes and may be another line's: it is not read.
#[derive(Deserialize)]
struct LineError<'a> {
    #[serde(borrow)]
    error_message: Cow<'a, str>,
    line_number: usize,
}

/// Reads the answer to a request of `lines` lines.
pub fn classify(status: u16, retry_after: Option<Duration>, body: &[u8], lines: usize) -> Outcome {
    match status {
        200..=299 => Outcome::Written,
        413 => Outcome::Halve(said(status, body)),
        401 | 403 => Outcome::fatal(format!(
            "it does not accept the token: check INFLUXDB_TOKEN and its permissions ({})",
            said(status, body)
        )),
        408 | 425 | 429 | 500..=599 => Outcome::Failed { fault: Fault::Transient(said(status, body)), retry_after },
        400 | 422 => refusal(status, body, lines),
        _ => Outcome::fatal(format!("it does not understand the request: check INFLUXDB_URL ({})", said(status, body))),
    }
}

fn refusal(status: u16, body: &[u8], lines: usize) -> Outcome {
    let Ok(answer) = serde_json::from_slice::<Body>(body) else {
        return Outcome::fatal(said(status, body));
    };
    let rest_written = match &*answer.error {
        PARTIAL_WRITE => true,
        PARSING_ERROR => false,
        error if error.contains(DATABASE_LIMIT) && error.contains("database") => {
            return Outcome::fatal(format!(
                "it has no room for another database; InfluxDB 3 Core holds five, so more tenants need \
                 another server or edition ({})",
                said(status, body)
            ));
        }
        _ => return Outcome::fatal(said(status, body)),
    };
    let named = match answer.data {
        Some(Data::Many(all)) => all,
        Some(Data::One(one)) => vec![one],
        None => Vec::new(),
    };
    if named.is_empty() || named.iter().any(|line| line.line_number == 0 || line.line_number > lines) {
        return Outcome::Halve(said(status, answer.error.as_bytes()));
    }
    let mut refused: Vec<_> = named
        .into_iter()
        .map(|line| RefusedLine {
            index: line.line_number - 1,
            cause: cause(&line.error_message),
            message: line.error_message.into_owned(),
        })
        .collect();
    refused.sort_by_key(|line| line.index);
    refused.dedup_by_key(|line| line.index);
    Outcome::Refused { lines: refused, rest_written }
}

fn cause(message: &str) -> Cause {
    if let Some(conflict) = field_types::Conflict::parse(message) {
        Cause::Type(conflict)
    } else if message.contains(TABLE_LIMIT) {
        Cause::NoRoom
    } else {
        Cause::Line
    }
}

/// Status and the beginning of the body, on one line: for logs and `/stats`.
/// Reads the answer to a request for a database: `POST /api/v3/configure/database`.
pub fn database_made(status: u16, body: &[u8]) -> Provisioned {
    match status {
        200..=299 => Provisioned::Made,
        409 => Provisioned::Exists,
        _ => match classify(status, None, body, 1) {
            Outcome::Failed { fault, .. } => Provisioned::Failed(fault.to_string()),
            _ => Provisioned::Failed(said(status, body)),
        },
    }
}

fn said(status: u16, body: &[u8]) -> String {
    const LONGEST: usize = 240;
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
    let text = text.trim().replace(['\n', '\r'], " ");
    if text.is_empty() { format!("status {status}") } else { format!("status {status}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::field_types::FieldType;

    /// Recorded from InfluxDB 3 Core 3.10.1.
    const PARTIAL: &str = r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"No fields were provided","line_number":2,"original_line":"bad line here"},{"error_message":"No fields were provided","line_number":4,"original_line":"t,d=dev3 v= 17"}]}"#;
    const PARSING: &str = r#"{"error":"line protocol parsing error","data":{"error_message":"No fields were provided","line_number":2,"original_line":"bad line here"}}"#;

    fn line(index: usize) -> RefusedLine {
        RefusedLine { index, message: "No fields were provided".into(), cause: Cause::Line }
    }

    fn with_message(message: &str) -> String {
        serde_json::json!({"error": PARTIAL_WRITE, "data": [{"error_message": message, "line_number": 1,
            "original_line": "telemetry,device_id="}]})
        .to_string()
    }

    fn cause_of(status: u16, message: &str) -> Cause {
        match classify(status, None, with_message(message).as_bytes(), 3) {
            Outcome::Refused { mut lines, rest_written: true } if lines.len() == 1 => lines.remove(0).cause,
            other => panic!("{other:?}"),
        }
    }

    fn is_fatal(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed { fault: Fault::Fatal(_), .. })
    }

    fn is_transient(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed { fault: Fault::Transient(_), .. })
    }

    #[test]
    fn success_is_a_204() {
        assert_eq!(classify(204, None, b"", 5), Outcome::Written);
    }

    #[test]
    fn a_partial_write_names_the_refused_lines_and_has_written_the_others() {
        assert_eq!(
            classify(400, None, PARTIAL.as_bytes(), 5),
            Outcome::Refused { lines: vec![line(1), line(3)], rest_written: true }
        );
    }

    #[test]
    fn a_parsing_error_names_one_line_and_has_written_nothing() {
        assert_eq!(
            classify(400, None, PARSING.as_bytes(), 5),
            Outcome::Refused { lines: vec![line(1)], rest_written: false }
        );
    }

    #[test]
    fn a_line_number_outside_of_the_request_is_not_believed() {
        assert!(matches!(classify(400, None, PARTIAL.as_bytes(), 3), Outcome::Halve(_)));
        let zero = PARSING.replace("\"line_number\":2", "\"line_number\":0");
        assert!(matches!(classify(400, None, zero.as_bytes(), 3), Outcome::Halve(_)));
        let none = format!(r#"{{"error":"{PARSING_ERROR}"}}"#);
        assert!(matches!(classify(400, None, none.as_bytes(), 3), Outcome::Halve(_)));
    }

    #[test]
    fn a_line_named_twice_is_refused_once() {
        let twice = PARTIAL.replace("\"line_number\":4", "\"line_number\":2");
        assert_eq!(
            classify(400, None, twice.as_bytes(), 5),
            Outcome::Refused { lines: vec![line(1)], rest_written: true }
        );
    }

    #[test]
    fn a_type_conflict_tells_the_column_and_both_types() {
        let message = "invalid column type for column 'v', expected iox::column_type::field::float, got \
                       iox::column_type::field::integer";
        let Cause::Type(conflict) = cause_of(400, message) else { panic!("no type conflict") };
        assert_eq!((&*conflict.column, conflict.expected), ("v", FieldType::Float));
    }

    #[test]
    fn a_table_full_of_columns_refuses_the_lines_that_bring_another() {
        let message = "Update to schema would exceed number of columns per table limit of 500 columns";
        assert_eq!(cause_of(422, message), Cause::Line);
    }

    #[test]
    fn lines_that_would_need_another_table_stay_owed() {
        let message = "Update to schema would exceed number of tables limit: attempted to create table but already \
                       have 2000 table(s) (limit: 2000)";
        assert_eq!(cause_of(422, message), Cause::NoRoom);
    }

    #[test]
    fn a_server_full_of_databases_keeps_the_data_and_says_so() {
        let body = br#"{"error":"Adding a new database would exceed limit of 5 databases"}"#;
        let outcome = classify(422, None, body, 5);
        let Outcome::Failed { fault: Fault::Fatal(message), .. } = &outcome else { panic!("{outcome:?}") };
        assert!(message.contains("no room for another database") && message.contains("limit of 5"), "{message}");
    }

    #[test]
    fn too_large_a_request_is_halved() {
        let outcome = classify(413, None, b"max request size (10485760 bytes) exceeded", 5);
        assert_eq!(outcome, Outcome::Halve("status 413: max request size (10485760 bytes) exceeded".into()));
    }

    #[test]
    fn a_wrong_token_keeps_the_data_and_names_the_setting() {
        let outcome = classify(401, None, br#"{"error": "the request was not authenticated"}"#, 5);
        let Outcome::Failed { fault: Fault::Fatal(message), .. } = &outcome else { panic!("{outcome:?}") };
        assert!(message.contains("INFLUXDB_TOKEN"), "{message}");
    }

    #[test]
    fn what_may_pass_is_tried_again_when_the_server_wants_it() {
        assert!(is_transient(&classify(500, None, b"write buffer error: error from wal: ...", 5)));
        let after = Some(Duration::from_secs(7));
        for status in [429, 503] {
            let Outcome::Failed { fault: Fault::Transient(_), retry_after } = classify(status, after, b"", 5) else {
                panic!("{status}")
            };
            assert_eq!(retry_after, after);
        }
    }

    #[test]
    fn data_is_never_dropped_on_an_answer_that_is_not_understood() {
        let bodies: [&[u8]; 6] = [
            b"",
            b"missing query parameter 'db'",
            b"incoming write was empty",
            br#"{"error":"db name did not start with a number or letter"}"#,
            br#"{"error": "Authorization header was malformed, the request was not in the form of ..."}"#,
            b"\xff\xfe",
        ];
        for body in bodies {
            for status in [301, 400, 404, 405, 415, 422] {
                assert!(is_fatal(&classify(status, None, body, 5)), "{status} {body:?}");
            }
        }
    }
}
