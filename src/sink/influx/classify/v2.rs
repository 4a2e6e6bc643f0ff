//! Refusals of the v2 API: JSON `{"code":..,"message":..}` that names no line. InfluxDB 2 writes what it can and says
//! what kind of error the first bad line had; InfluxDB 3 writes nothing, and answers 400 to failures of its store too.

use std::borrow::Cow;

use serde::Deserialize;

use super::{FailureKind, SCHEMA_LIMIT, WriteOutcome, cause, no_capacity_for_database, said};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// What is said where lines are at fault: by InfluxDB 3's parser and its catalog, by InfluxDB 2's parser and its store.
const LINES_AT_FAULT: [&str; 4] = ["line protocol parse failed", SCHEMA_LIMIT, "unable to parse", "partial write"];

/// InfluxDB 3's store is away.
const STORE_AWAY: &str = "error from wal";

/// Reads a 400 or 422.
pub(super) fn refusal(status: u16, body: &[u8]) -> WriteOutcome {
    let Ok(Body { message }) = serde_json::from_slice(body) else {
        return WriteOutcome::lasting(FailureKind::Request, said(status, body));
    };
    if message.contains(STORE_AWAY) {
        return WriteOutcome::passing(said(status, body));
    }
    if let Some(full) = no_capacity_for_database(&message, status, body) {
        return full;
    }
    if LINES_AT_FAULT.iter().any(|words| message.contains(words)) {
        return WriteOutcome::Halve { cause: cause(&message), message: said(status, message.as_bytes()) };
    }
    WriteOutcome::lasting(FailureKind::Request, said(status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::influx::Api;
    use crate::sink::influx::classify::outcome::{Cause, classify};
    use ingest_core::influx::field_types::FieldType;

    fn answered(status: u16, message: &str) -> WriteOutcome {
        let body = serde_json::json!({"code": "invalid", "message": message}).to_string();
        classify(Api::V2, status, None, body.as_bytes(), 5)
    }

    #[test]
    fn a_bad_line_is_looked_for_by_halves() {
        for (status, message) in [
            (400, "write buffer error: line protocol parse failed: No fields were provided"),
            (400, "unable to parse 'telemetry,device_id=a': missing fields"),
            (422, "failure writing points to database: partial write: points beyond retention policy dropped=1"),
        ] {
            assert!(matches!(answered(status, message), WriteOutcome::Halve { cause: Cause::Line, .. }), "{message}");
        }
    }

    #[test]
    fn a_type_conflict_tells_table_column_and_type() {
        let message = "failure writing points to database: partial write: field type conflict: input field \"it\" on \
                       measurement \"telemetry\" is type integer, already exists as type float dropped=3";
        let WriteOutcome::Halve { cause: Cause::Type(conflict), .. } = answered(422, message) else {
            panic!("no conflict")
        };
        assert_eq!(conflict.table.as_deref(), Some("telemetry"));
        assert_eq!((&*conflict.column, conflict.expected), ("it", FieldType::Float));

        let message = "write buffer error: line protocol parse failed: invalid column type for column 'v', expected \
                       iox::column_type::field::float, got iox::column_type::field::integer";
        let WriteOutcome::Halve { cause: Cause::Type(conflict), .. } = answered(400, message) else {
            panic!("no conflict")
        };
        assert_eq!((conflict.table, &*conflict.column, conflict.expected), (None, "v", FieldType::Float));
    }

    #[test]
    fn a_table_or_family_full_of_fields_is_no_lines_fault_for_good() {
        for limit in
            ["number of columns per table limit of 500 columns", "the field limit (100) for field family 'fam'"]
        {
            for before in ["line protocol parse failed: ", "catalog update error: ", ""] {
                let message = format!("write buffer error: {before}Update to schema would exceed {limit}");
                assert!(
                    matches!(answered(400, &message), WriteOutcome::Halve { cause: Cause::NoColumn, .. }),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_lines_fault_costs_no_line() {
        let wal = "write buffer error: error from wal: error writing wal file: ...";
        assert!(matches!(answered(400, wal), WriteOutcome::Failed { kind: FailureKind::Passing(None), .. }));
        let limit = "write buffer error: catalog update error: Adding a new database would exceed limit of 5 databases";
        assert!(matches!(answered(400, limit), WriteOutcome::Failed { kind: FailureKind::CapacityExceeded, .. }));
        for message in ["no org/bucket destination provided", "missing bucket value"] {
            assert!(
                matches!(answered(400, message), WriteOutcome::Failed { kind: FailureKind::Request, .. }),
                "{message}"
            );
        }
        let WriteOutcome::Failed { kind: FailureKind::Database, message } = answered(404, "bucket \"x\" not found")
        else {
            panic!("not kept")
        };
        assert!(message.contains("INFLUXDB_BUCKET"), "{message}");
    }
}
