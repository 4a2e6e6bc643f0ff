use proptest::prelude::*;

use std::time::Duration;

use super::outcome::*;
use crate::sink::influx::Api;
use ingest_core::influx::field_types::FieldType;

/// Recorded from InfluxDB 3 Core 3.10.1.
const PARTIAL: &str = r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"No fields were provided","line_number":2,"original_line":"bad line here"},{"error_message":"No fields were provided","line_number":4,"original_line":"t,d=dev3 v= 17"}]}"#;
const PARSING: &str = r#"{"error":"line protocol parsing error","data":{"error_message":"No fields were provided","line_number":2,"original_line":"bad line here"}}"#;

fn line(index: usize) -> RefusedLine {
    RefusedLine { index, message: "No fields were provided".into(), cause: Cause::Line }
}

fn with_message(message: &str) -> String {
    serde_json::json!({"error": "partial write of line protocol occurred", "data": [{"error_message": message, "line_number": 1,
        "original_line": "telemetry,device_id="}]})
    .to_string()
}

fn cause_of(status: u16, message: &str) -> Cause {
    match classify(Api::V3, status, None, with_message(message).as_bytes(), 3) {
        WriteOutcome::Refused { mut lines, rest_written: true } if lines.len() == 1 => lines.remove(0).cause,
        other => panic!("{other:?}"),
    }
}

fn is_lasting(outcome: &WriteOutcome) -> bool {
    matches!(outcome, WriteOutcome::Failed { kind: FailureKind::Request, .. })
}

fn is_passing(outcome: &WriteOutcome) -> bool {
    matches!(outcome, WriteOutcome::Failed { kind: FailureKind::Passing(_), .. })
}

#[test]
fn success_is_a_204_and_nothing_else() {
    for api in [Api::V3, Api::V2] {
        assert_eq!(classify(api, 204, None, b"", 5), WriteOutcome::Written);
        for body in [&b""[..], b"<html>Please sign in</html>", br#"{"error":"no"}"#, PARTIAL.as_bytes(), b"{}"] {
            for status in [200, 201, 202, 203, 205, 206, 226] {
                let outcome = classify(api, status, None, body, 5);
                let WriteOutcome::Failed { kind: FailureKind::Request, message } = &outcome else {
                    panic!("{outcome:?}")
                };
                assert!(message.contains("INFLUXDB_URL") && message.contains(&status.to_string()), "{message}");
            }
        }
    }
    assert_eq!(database_made(200, b""), Provisioned::Made);
    assert!(matches!(database_made(200, b"<html>Please sign in</html>"), Provisioned::Failed(_)));
}

#[test]
fn a_partial_write_names_the_refused_lines_and_has_written_the_others() {
    assert_eq!(
        classify(Api::V3, 400, None, PARTIAL.as_bytes(), 5),
        WriteOutcome::Refused { lines: vec![line(1), line(3)], rest_written: true }
    );
}

#[test]
fn a_parsing_error_names_one_line_and_has_written_nothing() {
    assert_eq!(
        classify(Api::V3, 400, None, PARSING.as_bytes(), 5),
        WriteOutcome::Refused { lines: vec![line(1)], rest_written: false }
    );
}

#[test]
fn a_line_number_outside_of_the_request_is_not_believed() {
    assert!(matches!(
        classify(Api::V3, 400, None, PARTIAL.as_bytes(), 3),
        WriteOutcome::Halve { cause: Cause::Line, .. }
    ));
    let zero = PARSING.replace("\"line_number\":2", "\"line_number\":0");
    assert!(matches!(classify(Api::V3, 400, None, zero.as_bytes(), 3), WriteOutcome::Halve { cause: Cause::Line, .. }));
    let none = r#"{"error":"line protocol parsing error"}"#;
    assert!(matches!(classify(Api::V3, 400, None, none.as_bytes(), 3), WriteOutcome::Halve { cause: Cause::Line, .. }));
}

#[test]
fn a_line_named_twice_is_refused_once() {
    let twice = PARTIAL.replace("\"line_number\":4", "\"line_number\":2");
    assert_eq!(
        classify(Api::V3, 400, None, twice.as_bytes(), 5),
        WriteOutcome::Refused { lines: vec![line(1)], rest_written: true }
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
    for message in [
        "Update to schema would exceed number of columns per table limit of 500 columns",
        "Update to schema would exceed the field limit (100) for field family 'fam'",
        "Update to schema would exceed the field family limit of 100",
    ] {
        assert_eq!(cause_of(422, message), Cause::NoColumn, "{message}");
    }
}

#[test]
fn lines_that_would_need_another_table_stay_owed() {
    let message = "Update to schema would exceed number of tables limit: attempted to create table but already \
                   have 2000 table(s) (limit: 2000)";
    assert_eq!(cause_of(422, message), Cause::NoTable);
}

#[test]
fn a_server_full_of_databases_keeps_the_data_and_says_so() {
    let body = br#"{"error":"Adding a new database would exceed limit of 5 databases"}"#;
    let outcome = classify(Api::V3, 422, None, body, 5);
    let WriteOutcome::Failed { kind: FailureKind::CapacityExceeded, message } = &outcome else { panic!("{outcome:?}") };
    assert!(message.contains("no room for another database") && message.contains("limit of 5"), "{message}");
}

#[test]
fn too_large_a_request_is_halved() {
    let outcome = classify(Api::V3, 413, None, b"max request size (10485760 bytes) exceeded", 5);
    let message = "status 413: max request size (10485760 bytes) exceeded".to_owned();
    assert_eq!(outcome, WriteOutcome::Halve { message, cause: Cause::Line });
}

#[test]
fn a_wrong_token_keeps_the_data_and_names_the_setting() {
    let outcome = classify(Api::V3, 401, None, br#"{"error": "the request was not authenticated"}"#, 5);
    let WriteOutcome::Failed { kind: FailureKind::Token, message } = &outcome else { panic!("{outcome:?}") };
    assert!(message.contains("INFLUXDB_TOKEN"), "{message}");
}

#[test]
fn a_token_that_makes_no_header_is_a_wrong_token() {
    let body = br#"{"error": "Authorization header was malformed, the request was not in the form of ..."}"#;
    for api in [Api::V3, Api::V2] {
        let outcome = classify(api, 400, None, body, 5);
        let WriteOutcome::Failed { kind: FailureKind::Token, message } = &outcome else { panic!("{outcome:?}") };
        assert!(message.contains("INFLUXDB_TOKEN"), "{message}");
    }
}

#[test]
fn the_log_gets_the_servers_sentence_without_what_it_repeats() {
    for (message, told) in [
        ("No fields were provided", "No fields were provided"),
        ("Unable to parse integer value `9223372036854775808`", "Unable to parse integer value `..`"),
        ("column 'it's', got 'b' it is", "column '..' it is"),
        ("unable to parse 'telemetry,device_id=a v=", "unable to parse '..'"),
        ("a \"b\" `c` d", "a \"..\" `..` d"),
    ] {
        assert_eq!(without_quotes(message), told);
    }
}

#[test]
fn what_may_pass_is_tried_again_when_the_server_wants_it() {
    assert!(is_passing(&classify(Api::V3, 500, None, b"write buffer error: error from wal: ...", 5)));
    let after = Some(Duration::from_secs(7));
    for status in [429, 503] {
        let outcome = classify(Api::V3, status, after, b"", 5);
        assert!(
            matches!(outcome, WriteOutcome::Failed { kind: FailureKind::Passing(retry_after), .. } if retry_after == after),
            "{status}"
        );
    }
}

#[test]
fn data_is_never_dropped_on_an_answer_that_is_not_understood() {
    let bodies: [&[u8]; 5] = [
        b"",
        b"missing query parameter 'db'",
        b"incoming write was empty",
        br#"{"error":"db name did not start with a number or letter"}"#,
        b"\xff\xfe",
    ];
    for body in bodies {
        for status in [301, 400, 404, 405, 415, 422] {
            assert!(is_lasting(&classify(Api::V3, status, None, body, 5)), "{status} {body:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_answered_only_a_success_confirms_and_only_lines_of_the_request_are_refused(
        api in prop_oneof![Just(Api::V3), Just(Api::V2)],
        status in prop_oneof![Just(400_u16), Just(422_u16), 100_u16..600],
        recorded in prop_oneof![Just(PARTIAL), Just(PARSING), Just("")],
        at in 0_usize..300,
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut body = recorded.as_bytes().to_vec();
        let at = at.min(body.len());
        body.splice(at..(at + noise.len() / 2).min(body.len()), noise);
        match classify(api, status, None, &body, 5) {
            WriteOutcome::Written => prop_assert_eq!(status, 204),
            WriteOutcome::Refused { lines, .. } => {
                prop_assert!(!lines.is_empty() && lines.iter().all(|line| line.index < 5));
                prop_assert!(lines.is_sorted_by(|one, other| one.index < other.index));
            }
            WriteOutcome::Halve { .. } => prop_assert!(matches!(status, 400 | 413 | 422)),
            WriteOutcome::Failed { message, .. } => prop_assert!(!message.contains(['\n', '\r']), "{message}"),
        }
    }
}
