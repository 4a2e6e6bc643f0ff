//! Refusals of the v3 API, as recorded from InfluxDB 3 Core 3.10.1: JSON that names the lines.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Cause, FailureKind, RefusedLine, WriteOutcome, cause, no_capacity_for_database, said};

const PARTIAL_WRITE: &str = "partial write of line protocol occurred";
const PARSING_ERROR: &str = "line protocol parsing error";

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

/// Reads a 400 or 422 to a request of `lines` lines.
pub(super) fn refusal(status: u16, body: &[u8], lines: usize) -> WriteOutcome {
    let Ok(answer) = serde_json::from_slice::<Body>(body) else {
        return WriteOutcome::lasting(FailureKind::Request, said(status, body));
    };
    let rest_written = match &*answer.error {
        PARTIAL_WRITE => true,
        PARSING_ERROR => false,
        error => {
            let full = no_capacity_for_database(error, status, body);
            return full.unwrap_or_else(|| WriteOutcome::lasting(FailureKind::Request, said(status, body)));
        }
    };
    let named = match answer.data {
        Some(Data::Many(all)) => all,
        Some(Data::One(one)) => vec![one],
        None => Vec::new(),
    };
    if named.is_empty() || named.iter().any(|line| line.line_number == 0 || line.line_number > lines) {
        return WriteOutcome::Halve { message: said(status, answer.error.as_bytes()), cause: Cause::Line };
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
    WriteOutcome::Refused { lines: refused, rest_written }
}
