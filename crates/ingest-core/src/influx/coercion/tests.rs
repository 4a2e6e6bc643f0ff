use std::time::{Duration, Instant};

use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use proptest::prelude::*;

use super::{Coerced, Coercion};
use crate::influx::field_budget::FieldBudget;
use crate::influx::field_types::{Conflict, FieldType};
use crate::influx::line_fields;
use crate::influx::line_protocol::{self, FieldValue, Kind, Skipped, Tags};

const AGAIN: Duration = Duration::from_secs(60);

fn without_knowledge() -> Coercion {
    Coercion::new(FieldBudget::new(0, true, None), AGAIN)
}

fn learned(line: &str, columns: &[(&str, FieldType)]) -> Coercion {
    let mut coercion = without_knowledge();
    for &(column, expected) in columns {
        let conflict = Conflict { table: None, column: column.to_owned(), expected };
        coercion.columns.conflict(line_fields::table(line), conflict, Instant::now());
    }
    coercion
}

fn coerced(line: &str, columns: &[(&str, FieldType)]) -> Coerced {
    learned(line, columns).coerce(line, Instant::now())
}

fn changed(line: &str, skipped: &[&str]) -> Coerced {
    let skipped = skipped.iter().map(|column| ((*column).to_owned(), Skipped::TypeConflict)).collect();
    Coerced::Changed { line: line.to_owned(), skipped }
}

#[test]
fn an_integer_is_coerced_to_a_float() {
    let float = [("v", FieldType::Float)];
    assert_eq!(coerced("t,d=1 seq=1i,v=24i,w=3i 9", &float), changed("t,d=1 seq=1i,v=24,w=3i 9", &[]));
    assert_eq!(coerced("t,d=1 v=-24i 9", &float), changed("t,d=1 v=-24 9", &[]));
    assert_eq!(coerced("t,d=1 v=24.5 9", &float), Coerced::AsIs);
    assert_eq!(coerced("t,d=1 vv=24i 9", &float), Coerced::AsIs);
}

#[test]
fn a_value_with_a_type_conflict_is_left_out() {
    for (expected, value) in [
        (FieldType::Integer, "1.5"),
        (FieldType::Integer, "true"),
        (FieldType::Boolean, "1i"),
        (FieldType::Float, "false"),
        (FieldType::Unsigned, "-1i"),
        (FieldType::Other, "1i"),
    ] {
        let columns = [("v", expected)];
        assert_eq!(
            coerced(&format!("t,d=1 seq=1i,v={value},w=3i 9"), &columns),
            changed("t,d=1 seq=1i,w=3i 9", &["v"])
        );
        assert_eq!(coerced(&format!("t,d=1 v={value},w=3i 9"), &columns), changed("t,d=1 w=3i 9", &["v"]));
        assert_eq!(coerced(&format!("t,d=1 seq=1i,v={value} 9"), &columns), changed("t,d=1 seq=1i 9", &["v"]));
        assert_eq!(coerced(&format!("t,d=1 v={value} 9"), &columns), Coerced::Nothing);
    }
}

#[test]
fn an_unsigned_column_takes_integers_that_are_not_negative() {
    assert_eq!(coerced("t v=7i", &[("v", FieldType::Unsigned)]), changed("t v=7u", &[]));
    assert_eq!(coerced("t v=7u", &[("v", FieldType::Float)]), changed("t v=7", &[]));
}

#[test]
fn tables_are_independent() {
    let mut coercion = learned("heartbeat,d=1 seq=1i 9", &[("seq", FieldType::Float)]);
    assert_eq!(coercion.coerce("telemetry,d=1 seq=1i 9", Instant::now()), Coerced::AsIs);
    assert_eq!(coercion.coerce("heartbeat,d=1 seq=1i 9", Instant::now()), changed("heartbeat,d=1 seq=1 9", &[]));
}

#[test]
fn names_are_compared_without_their_escapes() {
    let line = r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,q="a, b=\" c",v=2i 9"#;
    let name = r"v w,x=y\z";
    assert_eq!(
        coerced(line, &[(name, FieldType::Float)]),
        changed(r#"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1,q="a, b=\" c",v=2i 9"#, &[])
    );
    assert_eq!(coerced(line, &[("q", FieldType::Float)]), changed(r"t,d=a\ b\,c\=d v\ w\,x\=y\\z=1i,v=2i 9", &["q"]));
}

const LINE: &str = "telemetry,d=1 seq=1i,a=2.5,b=true,c=3i 9";

fn without(columns: &[(&str, Skipped)], line: &str) -> Coerced {
    let skipped = columns.iter().map(|(column, why)| ((*column).to_owned(), *why)).collect();
    Coerced::Changed { line: line.to_owned(), skipped }
}

#[test]
fn the_fields_of_a_rejected_line_are_tried_one_by_one_and_only_what_has_no_column_is_left_out() {
    let (mut coercion, now) = (without_knowledge(), Instant::now());
    let trials = coercion.columns.trials(LINE, now);
    let lines: Vec<_> = trials.iter().map(|trial| trial.line.as_str()).collect();
    assert_eq!(lines, ["telemetry,d=1 seq=1i,a=2.5 9", "telemetry,d=1 seq=1i,b=true 9", "telemetry,d=1 seq=1i,c=3i 9"]);
    assert!(coercion.columns.trials(LINE, now).is_empty() && coercion.columns.has_open(LINE));
    coercion.columns.there(&trials[0], now);
    coercion.columns.missing(&trials[1], now);
    coercion.columns.inconclusive(&trials[2]);
    assert_eq!(
        coercion.coerce(LINE, now),
        without(&[("b", Skipped::ColumnsFull)], "telemetry,d=1 seq=1i,a=2.5,c=3i 9")
    );
    assert_eq!(coercion.columns.trials(LINE, now).len(), 1, "an inconclusive trial is repeated");
    assert_eq!(
        coercion.coerce("telemetry,d=1 seq=1i,b=true 9", now),
        without(&[("b", Skipped::ColumnsFull)], "telemetry,d=1 seq=1i 9")
    );
}

#[test]
fn a_field_that_is_left_out_is_tried_again_with_one_line_later() {
    let (mut coercion, now) = (learned(LINE, &[("a", FieldType::Integer)]), Instant::now());
    let trial = coercion.columns.trials(LINE, now).remove(0);
    assert_eq!(trial.column, "b");
    coercion.columns.missing(&trial, now);
    coercion.coerce(LINE, now);
    assert_eq!(coercion.take_due(), []);
    let later = now + 2 * AGAIN;
    for round in [later, later + AGAIN] {
        coercion.coerce(LINE, round);
        coercion.coerce(LINE, round);
        let due: Vec<_> = coercion.take_due().into_iter().map(|trial| trial.line).collect();
        assert_eq!(due, ["telemetry,d=1 seq=1i,a=2.5 9", "telemetry,d=1 seq=1i,b=true 9"]);
    }
    coercion.columns.there(&trial, later);
    assert_eq!(
        coercion.coerce(LINE, later),
        without(&[("a", Skipped::TypeConflict)], "telemetry,d=1 seq=1i,b=true,c=3i 9")
    );
    coercion.columns.clear();
    assert_eq!(coercion.coerce(LINE, later), Coerced::AsIs);
}

#[test]
fn a_name_beyond_the_budget_is_left_out_and_the_server_is_asked_before() {
    let now = Instant::now();
    let mut coercion = Coercion::new(FieldBudget::new(2, true, Some(now)), AGAIN);
    assert_eq!(coercion.coerce(LINE, now), Coerced::Ask);
    coercion.budget.answered(["c"], now);
    assert_eq!(
        coercion.coerce(LINE, now),
        without(&[("b", Skipped::FieldBudget)], "telemetry,d=1 seq=1i,a=2.5,c=3i 9")
    );
    assert_eq!(coercion.take_due(), [], "no trial would help");
    assert_eq!(coercion.coerce("heartbeat,d=1 seq=1i 9", now), Coerced::AsIs);
}

#[test]
fn an_integer_that_was_written_as_a_float_is_coerced_back() {
    let integer = [("v", FieldType::Integer)];
    assert_eq!(coerced("t v=24", &integer), changed("t v=24i", &[]));
    assert_eq!(coerced("t seq=1i,v=24.0 9", &integer), changed("t seq=1i 9", &["v"]));
}

/// Rust writes floats without a fraction as it does integers.
fn is_written_as_an_integer(value: f64) -> bool {
    value.to_string().parse::<i64>().is_ok()
}

#[test]
fn no_text_panics() {
    for line in ["", " ", ",", "t", "t ", "t v", "t v=", "t v=1i,", "t =,= ", "t\\", "t v\\", "t v=\"", "t, ,v,=="] {
        let columns = [("v", FieldType::Float), ("", FieldType::Boolean)];
        coerced(line, &columns);
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
    fn a_coerced_line_holds_just_what_the_columns_hold(
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
        let mut coercion = learned(&line, &columns.iter().map(|(key, kind)| (*key, *kind)).collect::<Vec<_>>());
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
        match coercion.coerce(&line, Instant::now()) {
            Coerced::AsIs => prop_assert_eq!(parsed(&line), (head, expected)),
            Coerced::Changed { line, .. } => prop_assert_eq!(parsed(&line), (head, expected)),
            Coerced::Nothing => prop_assert!(expected.is_empty()),
            Coerced::Ask => prop_assert!(false, "no server can be asked"),
        }
    }
}
