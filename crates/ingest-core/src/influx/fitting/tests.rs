use std::time::{Duration, Instant};

use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use proptest::prelude::*;

use super::{Fitted, Fitting};
use crate::influx::field_budget::FieldBudget;
use crate::influx::field_types::{Conflict, FieldType};
use crate::influx::line_fields;
use crate::influx::line_protocol::{self, FieldValue, Kind, Skipped, Tags};

const AGAIN: Duration = Duration::from_secs(60);

fn knowing_nothing() -> Fitting {
    Fitting::new(FieldBudget::new(0, true, None), AGAIN)
}

fn learned(line: &str, columns: &[(&str, FieldType)]) -> Fitting {
    let mut fitting = knowing_nothing();
    for &(column, expected) in columns {
        let conflict = Conflict { table: None, column: column.to_owned(), expected };
        fitting.columns.conflict(line_fields::table(line), conflict, Instant::now());
    }
    fitting
}

fn fit(line: &str, columns: &[(&str, FieldType)]) -> Fitted {
    learned(line, columns).fit(line, Instant::now())
}

fn changed(line: &str, skipped: &[&str]) -> Fitted {
    let skipped = skipped.iter().map(|column| ((*column).to_owned(), Skipped::TypeConflict)).collect();
    Fitted::Changed { line: line.to_owned(), skipped }
}

#[test]
fn an_integer_goes_without_its_mark_into_a_float_column() {
    let float = [("v", FieldType::Float)];
    assert_eq!(fit("t,d=1 seq=1i,v=24i,w=3i 9", &float), changed("t,d=1 seq=1i,v=24,w=3i 9", &[]));
    assert_eq!(fit("t,d=1 v=-24i 9", &float), changed("t,d=1 v=-24 9", &[]));
    assert_eq!(fit("t,d=1 v=24.5 9", &float), Fitted::AsIs);
    assert_eq!(fit("t,d=1 vv=24i 9", &float), Fitted::AsIs);
}

#[test]
fn a_value_that_its_column_cannot_hold_is_left_out() {
    for (expected, value) in [
        (FieldType::Integer, "1.5"),
        (FieldType::Integer, "true"),
        (FieldType::Boolean, "1i"),
        (FieldType::Float, "false"),
        (FieldType::Unsigned, "-1i"),
        (FieldType::Other, "1i"),
    ] {
        let columns = [("v", expected)];
        assert_eq!(fit(&format!("t,d=1 seq=1i,v={value},w=3i 9"), &columns), changed("t,d=1 seq=1i,w=3i 9", &["v"]));
        assert_eq!(fit(&format!("t,d=1 v={value},w=3i 9"), &columns), changed("t,d=1 w=3i 9", &["v"]));
        assert_eq!(fit(&format!("t,d=1 seq=1i,v={value} 9"), &columns), changed("t,d=1 seq=1i 9", &["v"]));
        assert_eq!(fit(&format!("t,d=1 v={value} 9"), &columns), Fitted::Nothing);
    }
}

#[test]
fn an_unsigned_column_takes_what_is_not_negative() {
    assert_eq!(fit("t v=7i", &[("v", FieldType::Unsigned)]), changed("t v=7u", &[]));
    assert_eq!(fit("t v=7u", &[("v", FieldType::Float)]), changed("t v=7", &[]));
}

#[test]
fn a_table_knows_nothing_of_the_other() {
    let mut fitting = learned("heartbeat,d=1 seq=1i 9", &[("seq", FieldType::Float)]);
    assert_eq!(fitting.fit("telemetry,d=1 seq=1i 9", Instant::now()), Fitted::AsIs);
    assert_eq!(fitting.fit("heartbeat,d=1 seq=1i 9", Instant::now()), changed("heartbeat,d=1 seq=1 9", &[]));
}

#[test]
fn names_are_compared_without_their_escapes() {
    let line = r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,q="a, b=\" c",v=2i 9"#;
    let name = r"v w,x=y\z";
    assert_eq!(
        fit(line, &[(name, FieldType::Float)]),
        changed(r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1,q="a, b=\" c",v=2i 9"#, &[])
    );
    assert_eq!(fit(line, &[("q", FieldType::Float)]), changed(r"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,v=2i 9", &["q"]));
}

const LINE: &str = "telemetry,d=1 seq=1i,a=2.5,b=true,c=3i 9";

fn without(columns: &[(&str, Skipped)], line: &str) -> Fitted {
    let skipped = columns.iter().map(|(column, why)| ((*column).to_owned(), *why)).collect();
    Fitted::Changed { line: line.to_owned(), skipped }
}

#[test]
fn the_fields_of_a_refused_line_are_tried_one_by_one_and_only_what_has_no_column_is_left_out() {
    let (mut fitting, now) = (knowing_nothing(), Instant::now());
    let trials = fitting.columns.trials(LINE, now);
    let lines: Vec<_> = trials.iter().map(|trial| trial.line.as_str()).collect();
    assert_eq!(lines, ["telemetry,d=1 seq=1i,a=2.5 9", "telemetry,d=1 seq=1i,b=true 9", "telemetry,d=1 seq=1i,c=3i 9"]);
    assert!(fitting.columns.trials(LINE, now).is_empty() && fitting.columns.has_open(LINE));
    fitting.columns.there(&trials[0], now);
    fitting.columns.missing(&trials[1], now);
    fitting.columns.untold(&trials[2]);
    assert_eq!(fitting.fit(LINE, now), without(&[("b", Skipped::ColumnsFull)], "telemetry,d=1 seq=1i,a=2.5,c=3i 9"));
    assert_eq!(fitting.columns.trials(LINE, now).len(), 1, "what was not told is tried once more");
    assert_eq!(
        fitting.fit("telemetry,d=1 seq=1i,b=true 9", now),
        without(&[("b", Skipped::ColumnsFull)], "telemetry,d=1 seq=1i 9")
    );
}

#[test]
fn what_is_left_out_is_tried_again_with_one_line_after_a_while() {
    let (mut fitting, now) = (learned(LINE, &[("a", FieldType::Integer)]), Instant::now());
    let trial = fitting.columns.trials(LINE, now).remove(0);
    assert_eq!(trial.column, "b");
    fitting.columns.missing(&trial, now);
    fitting.fit(LINE, now);
    assert_eq!(fitting.take_due(), []);
    let later = now + 2 * AGAIN;
    for round in [later, later + AGAIN] {
        fitting.fit(LINE, round);
        fitting.fit(LINE, round);
        let due: Vec<_> = fitting.take_due().into_iter().map(|trial| trial.line).collect();
        assert_eq!(due, ["telemetry,d=1 seq=1i,a=2.5 9", "telemetry,d=1 seq=1i,b=true 9"]);
    }
    fitting.columns.there(&trial, later);
    assert_eq!(
        fitting.fit(LINE, later),
        without(&[("a", Skipped::TypeConflict)], "telemetry,d=1 seq=1i,b=true,c=3i 9")
    );
    fitting.columns.clear();
    assert_eq!(fitting.fit(LINE, later), Fitted::AsIs);
}

#[test]
fn a_name_beyond_the_budget_is_left_out_and_the_server_is_asked_before() {
    let now = Instant::now();
    let mut fitting = Fitting::new(FieldBudget::new(2, true, Some(now)), AGAIN);
    assert_eq!(fitting.fit(LINE, now), Fitted::Ask);
    fitting.budget.answered(["c"], now);
    assert_eq!(fitting.fit(LINE, now), without(&[("b", Skipped::FieldBudget)], "telemetry,d=1 seq=1i,a=2.5,c=3i 9"));
    assert_eq!(fitting.take_due(), [], "no trial would help");
    assert_eq!(fitting.fit("heartbeat,d=1 seq=1i 9", now), Fitted::AsIs);
}

#[test]
fn an_integer_that_was_written_for_a_float_is_one_again_where_the_column_turns_out_to_hold_integers() {
    let integer = [("v", FieldType::Integer)];
    assert_eq!(fit("t v=24", &integer), changed("t v=24i", &[]));
    assert_eq!(fit("t seq=1i,v=24.0 9", &integer), changed("t seq=1i 9", &["v"]));
}

/// Rust writes floats without a fraction as it does integers.
fn is_written_as_an_integer(value: f64) -> bool {
    value.to_string().parse::<i64>().is_ok()
}

#[test]
fn no_text_makes_it_panic() {
    for line in ["", " ", ",", "t", "t ", "t v", "t v=", "t v=1i,", "t =,= ", "t\\", "t v\\", "t v=\"", "t, ,v,=="] {
        let columns = [("v", FieldType::Float), ("", FieldType::Boolean)];
        fit(line, &columns);
    }
}

/// A field's key and value as line protocol writes them.
fn field() -> impl Strategy<Value = (String, String)> {
    let value = prop_oneof![
        any::<i64>().prop_map(|value| format!("{value}i")),
        any::<i32>().prop_map(|value| format!("{}", f64::from(value) / 8.0)),
        any::<bool>().prop_map(|value| value.to_string()),
    ];
    ("[a-c ,=\\\\é]{1,4}", value)
}

fn line_of(fields: &[(String, String)]) -> String {
    let mut line = String::new();
    line_protocol::begin(&mut line, Kind::Telemetry, Tags::new("d 1", "s,=1"), 7);
    for (key, value) in fields {
        let value = match value.as_str() {
            "true" => FieldValue::Boolean(true),
            "false" => FieldValue::Boolean(false),
            text => text.strip_suffix('i').map_or(FieldValue::Float(text), FieldValue::Integer),
        };
        line_protocol::field(&mut line, key, value);
    }
    assert!(line_protocol::end(&mut line, 1_000));
    line
}

/// The fields of a line as the format's owner reads them.
fn parsed(line: &str) -> (String, Vec<(String, Parsed<'_>)>) {
    let line = parse_lines(line).next().unwrap().unwrap();
    let head = format!("{:?} {:?}", line.series.to_string(), line.timestamp);
    (head, line.field_set.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

proptest! {
    #[test]
    fn a_fitted_line_holds_just_what_the_columns_hold(
        fields in prop::collection::vec(field(), 0..6),
        columns in prop::collection::vec(("[a-c ,=\\\\é]{1,4}", 0..5_usize), 0..6),
    ) {
        const TYPES: [FieldType; 5] =
            [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::Boolean, FieldType::Other];
        let line = line_of(&fields);
        let (head, before) = parsed(&line);
        let keys: Vec<String> = before.iter().map(|(key, _)| key.clone()).collect();
        // Half of the columns are those of the line.
        let own = keys.iter().zip(&columns).map(|(key, (_, kind))| (key.as_str(), TYPES[*kind]));
        let columns: std::collections::HashMap<&str, FieldType> =
            columns.iter().map(|(key, kind)| (key.as_str(), TYPES[*kind])).chain(own).collect();
        let mut fitting = learned(&line, &columns.iter().map(|(key, kind)| (*key, *kind)).collect::<Vec<_>>());
        let mut expected = Vec::new();
        for (key, value) in before {
            let value = match (columns.get(key.as_str()), value) {
                (None, value) => value,
                (Some(FieldType::Float), Parsed::I64(value)) => Parsed::F64(value as f64),
                (Some(FieldType::Float), value @ Parsed::F64(_)) => value,
                (Some(FieldType::Integer), value @ Parsed::I64(_)) => value,
                (Some(FieldType::Integer), Parsed::F64(value)) if is_written_as_an_integer(value) => {
                    Parsed::I64(value as i64)
                }
                (Some(FieldType::Unsigned), Parsed::I64(value)) if value >= 0 => Parsed::U64(value as u64),
                (Some(FieldType::Boolean), value @ Parsed::Boolean(_)) => value,
                _ => continue,
            };
            expected.push((key, value));
        }
        match fitting.fit(&line, Instant::now()) {
            Fitted::AsIs => prop_assert_eq!(parsed(&line), (head, expected)),
            Fitted::Changed { line, .. } => prop_assert_eq!(parsed(&line), (head, expected)),
            Fitted::Nothing => prop_assert!(expected.is_empty()),
            Fitted::Ask => prop_assert!(false, "nobody can be asked"),
        }
    }
}
