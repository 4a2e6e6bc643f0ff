//! Which columns a table has, asked of a server that knows SQL: InfluxDB 3, by whichever API it is written to.

use std::time::Duration;

use actix_rt::time::timeout;
use serde::Deserialize;

use super::request::Endpoint;

/// How long the answer is waited for: points wait with it.
const BOUND: Duration = Duration::from_secs(5);

/// The table that metrics make columns of.
const COLUMNS_OF_TELEMETRY: &str = "SELECT column_name FROM information_schema.columns \
                                    WHERE table_schema = 'iox' AND table_name = 'telemetry'";

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// These; none where there is no such table.
    Are(Vec<String>),
    /// It has no such database.
    NoDatabase,
    /// It does not let us ask, or knows no SQL.
    Refused(String),
    /// It does not say now: it fails, or does not know the token.
    NotNow(String),
    /// It gave no answer.
    Unanswered(String),
}

#[derive(Deserialize)]
struct Row {
    column_name: String,
}

impl Endpoint {
    /// The columns of its table of metrics.
    pub(super) async fn columns(self) -> Columns {
        match timeout(BOUND, self.query_sql(COLUMNS_OF_TELEMETRY)).await {
            Ok(Ok((status, answer))) => read(status, &answer),
            Ok(Err(error)) => Columns::Unanswered(error.to_string()),
            Err(_) => Columns::Unanswered(format!("no answer within {} s", BOUND.as_secs())),
        }
    }
}

fn read(status: u16, answer: &str) -> Columns {
    match status {
        200 => match serde_json::from_str::<Vec<Row>>(answer) {
            Ok(rows) => Columns::Are(rows.into_iter().map(|row| row.column_name).collect()),
            Err(error) => Columns::Refused(format!("an unexpected answer: {error}")),
        },
        404 if answer.contains("database not found") => Columns::NoDatabase,
        401 | 408 | 425 | 429 | 500..=599 => Columns::NotNow(format!("status {status}")),
        _ => Columns::Refused(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_from_servers_that_know_no_sql() {
        let rows = r#"[{"column_name":"device_id"},{"column_name":"v w"}]"#;
        assert_eq!(read(200, rows), Columns::Are(vec!["device_id".into(), "v w".into()]));
        assert_eq!(read(200, "[]"), Columns::Are(Vec::new()));
        let missing = r#"{"error":"query error: database not found: telemetry_acme"}"#;
        assert_eq!(read(404, missing), Columns::NoDatabase);
        for (status, answer) in [(404, "Not found"), (400, ""), (403, ""), (200, "<html>"), (301, "")] {
            assert!(matches!(read(status, answer), Columns::Refused(_)), "{status} {answer}");
        }
        for status in [401, 429, 503] {
            assert!(matches!(read(status, ""), Columns::NotNow(_)), "{status}");
        }
    }
}
