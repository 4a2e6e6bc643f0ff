use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use proptest::prelude::*;

use super::*;
use crate::core::line_protocol::{self, FieldValue, Kind, Tags};

fn learned(line: &str, columns: &[(&str, FieldType)]) -> FieldTypes {
    let mut types = FieldTypes::default();
    for &(column, expected) in columns {
        types.learn(line, Conflict { table: None, column: column.to_owned(), expected });
    }
    types
}

fn fit(line: &str, columns: &[(&str, FieldType)]) -> Fitted {
    learned(line, columns).fit(line)
}

fn changed(line: &str, skipped: &[&str]) -> Fitted {
    Fitted::Changed { line: line.to_owned(), skipped: skipped.iter().map(ToString::to_string).collect() }
}

#[test]
fn the_servers_words_are_understood() {
    let conflict = |message| Conflict::parse(message).map(|conflict| (conflict.column, conflict.expected));
    assert_eq!(
        conflict(
            "invalid column type for column 'it's', expected ', expected iox::column_type::field::boolean, got \
             iox::column_type::field::float"
        ),
        Some(("it's', expected ".into(), FieldType::Boolean))
    );
    assert_eq!(
        conflict(
            "invalid column type for column 'zz', expected iox::column_type::tag, got \
             iox::column_type::field::float"
        ),
        Some(("zz".into(), FieldType::Other))
    );
    assert_eq!(
        conflict(
            "invalid column type for column 'site_id', expected iox::column_type::field::float, got \
             iox::column_type::tag"
        ),
        None
    );
    assert_eq!(
        conflict(
            "partial write: field type conflict: input field \"a\" is type b\" on measurement \"telemetry\" is type \
             integer, already exists as type float dropped=1"
        ),
        Some(("a\" is type b".into(), FieldType::Float))
    );
    assert_eq!(conflict("No fields were provided"), None);
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
    let types = learned("heartbeat,d=1 seq=1i 9", &[("seq", FieldType::Float)]);
    assert!(!types.is_empty());
    assert_eq!(types.fit("telemetry,d=1 seq=1i 9"), Fitted::AsIs);
    assert_eq!(types.fit("heartbeat,d=1 seq=1i 9"), changed("heartbeat,d=1 seq=1 9", &[]));
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
        let columns: HashMap<&str, FieldType> =
            columns.iter().map(|(key, kind)| (key.as_str(), TYPES[*kind])).chain(own).collect();
        let types = learned(&line, &columns.iter().map(|(key, kind)| (*key, *kind)).collect::<Vec<_>>());
        let mut expected = Vec::new();
        for (key, value) in before {
            let value = match (columns.get(key.as_str()), value) {
                (None, value) => value,
                (Some(FieldType::Float), Parsed::I64(value)) => Parsed::F64(value as f64),
                (Some(FieldType::Float), value @ Parsed::F64(_)) => value,
                (Some(FieldType::Integer), value @ Parsed::I64(_)) => value,
                (Some(FieldType::Unsigned), Parsed::I64(value)) if value >= 0 => Parsed::U64(value as u64),
                (Some(FieldType::Boolean), value @ Parsed::Boolean(_)) => value,
                _ => continue,
            };
            expected.push((key, value));
        }
        match types.fit(&line) {
            Fitted::AsIs => prop_assert_eq!(parsed(&line), (head, expected)),
            Fitted::Changed { line, .. } => prop_assert_eq!(parsed(&line), (head, expected)),
            Fitted::Nothing => prop_assert!(expected.is_empty()),
        }
    }
}
