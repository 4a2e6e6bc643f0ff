use influxdb_line_protocol::{ParsedLine, parse_lines};

use super::name::push_name;
use super::{FieldValue, Kind, Skipped, Tags, begin, end, field, is_reserved};
use crate::cases;
use crate::message::timestamp;

fn parse(line: &str) -> ParsedLine<'_> {
    let mut lines = parse_lines(line);
    let parsed = lines.next().unwrap().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(lines.next().is_none(), "{line}");
    parsed
}

fn heartbeat(device_id: &str, site_id: &str) -> String {
    let mut line = String::new();
    begin(&mut line, Kind::Heartbeat, Tags::new(device_id, site_id), 7);
    assert!(end(&mut line, 1));
    line
}

/// The metrics of a case that reach its point.
fn fields(metrics: &cases::Members) -> Vec<(&str, FieldValue<'_>)> {
    let value = |text| match text {
        "true" => Ok(FieldValue::Boolean(true)),
        "false" => Ok(FieldValue::Boolean(false)),
        "null" => Err(Skipped::Null),
        text if text.starts_with('"') => Err(Skipped::Text),
        text if text.starts_with(['[', '{']) => Err(Skipped::Nested),
        text => FieldValue::from_number(text),
    };
    let metrics = metrics.iter().filter(|(key, _)| !is_reserved(key));
    metrics.filter_map(|(key, text)| Some((key, value(text).ok()?))).collect()
}

#[test]
fn the_public_cases_hold() {
    let mut checked = 0;
    for case in ["line_protocol", "tags", "fields", "numbers", "strings"].into_iter().flat_map(cases::read) {
        let Some(payload) = case.payload_members() else { continue };
        for expect in case.alternatives() {
            let Some(expected) = expect["point"].as_str() else { continue };
            let text = |key: &str| expect[key].as_str().unwrap();
            let is_telemetry = text("msg_type") == "telemetry";
            let kind = if is_telemetry { Kind::Telemetry } else { Kind::Heartbeat };
            let mut line = String::new();
            let tags = Tags::new(text("device_id"), text("site_id"));
            begin(&mut line, kind, tags, expect["seq"].as_i64().unwrap());
            let metrics = payload.get("metrics").filter(|_| is_telemetry).map(|metrics| cases::members(metrics.get()));
            for (key, value) in metrics.iter().flat_map(fields) {
                field(&mut line, key, value);
            }
            assert!(end(&mut line, timestamp::from_text(text("event_ts")).unwrap()));
            let (line, expected) = (parse(&line), parse(expected));
            assert_eq!(line.to_string(), expected.to_string(), "{}", case.id());
            assert_eq!(line.field_set, expected.field_set, "{}", case.id());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} cases were found");
}

#[test]
fn a_line_is_written_as_the_contract_shows_it() {
    let mut line = String::new();
    begin(&mut line, Kind::Telemetry, Tags::new("dev-0001", "lab-1"), 120);
    field(&mut line, "battery_pct", FieldValue::Float("87.5"));
    field(&mut line, "rssi_dbm", FieldValue::Integer("-85"));
    field(&mut line, "uplink_ok", FieldValue::Boolean(true));
    field(&mut line, "door", FieldValue::Boolean(false));
    assert!(end(&mut line, 1_795_219_200_123_000));
    assert_eq!(
        line,
        "telemetry,device_id=dev-0001,site_id=lab-1 seq=120i,battery_pct=87.5,rssi_dbm=-85i,uplink_ok=true,door=false \
         1795219200123000000"
    );
}

#[test]
fn names_are_escaped_or_encoded_as_a_whole() {
    for (name, written) in [
        ("plain", "plain"),
        ("größe-温度-😀", "größe-温度-😀"),
        ("t\"q'x#y", "t\"q'x#y"),
        ("a b,c=d\\e", "a\\ b\\,c\\=d\\\\e"),
        ("\\\\x", "\\\\\\\\x"),
        ("100%", "100%"),
        ("a%20b", "a%20b"),
        ("%2", "%2"),
        ("%0a%7f%5c", "%0a%7f%5c"),
        ("two\nlines", "two%0Alines"),
        ("a b\r\\=\t", "a\\ b%0D%5C\\=%09"),
        ("end\\", "end%5C"),
        ("\0\x1F\x7F", "%00%1F%7F"),
        ("50%\n", "50%25%0A"),
        ("two%0Alines", "two%250Alines"),
        ("a%25b\\c", "a%2525b%5Cc"),
        ("%7F", "%257F"),
        ("%5C", "%255C"),
    ] {
        let mut out = String::new();
        push_name(&mut out, name);
        assert_eq!(out, written, "{name:?}");
    }
}

#[test]
fn a_name_without_encoding_is_parsed_unchanged() {
    for name in ["a b", "a,b", "a=b", "a\\b", "a\\\\b", "\\ b", "\\,", "a\"b", " ", ",", "=", "é\u{85}\u{a0}", "%41"] {
        let line = heartbeat(name, "s");
        let parsed = parse(&line);
        assert_eq!(parsed.tag_value("device_id").unwrap().as_str(), name);
        assert_eq!(parsed.tag_value("site_id").unwrap().as_str(), "s");
        assert_eq!(parsed.timestamp, Some(1_000));
    }
}

#[test]
fn numbers_keep_their_kind_and_their_text() {
    for (text, expected) in [
        ("24", Ok(FieldValue::Integer("24"))),
        ("-0", Ok(FieldValue::Integer("-0"))),
        ("24.0", Ok(FieldValue::Float("24.0"))),
        ("2.4e1", Ok(FieldValue::Float("2.4e1"))),
        ("5E-324", Ok(FieldValue::Float("5E-324"))),
        ("1e-400", Ok(FieldValue::Float("1e-400"))),
        ("9223372036854775807", Ok(FieldValue::Integer("9223372036854775807"))),
        ("-9223372036854775808", Ok(FieldValue::Integer("-9223372036854775808"))),
        ("9223372036854775808", Err(Skipped::OutOfRange)),
        ("-9223372036854775809", Err(Skipped::OutOfRange)),
        ("1e400", Err(Skipped::NotFinite)),
        ("-1e400", Err(Skipped::NotFinite)),
        ("1.7976931348623159e308", Err(Skipped::NotFinite)),
    ] {
        assert_eq!(FieldValue::from_number(text), expected, "{text}");
    }
    let digits = "9".repeat(400);
    assert_eq!(FieldValue::from_number(&digits), Err(Skipped::OutOfRange));
    assert_eq!(FieldValue::from_number(&format!("{digits}.5")), Err(Skipped::NotFinite));
    assert!(FieldValue::from_number(&format!("0.{digits}")).is_ok());
}

#[test]
fn a_time_beyond_i64_nanoseconds_makes_no_point() {
    let mut line = String::from("x");
    assert!(!end(&mut line, i64::MAX / 1000 + 1) && !end(&mut line, i64::MIN / 1000 - 1));
    assert_eq!(line, "x");
    assert!(end(&mut line, i64::MAX / 1000));
    assert_eq!(line, "x 9223372036854775000");
}

#[test]
fn every_reason_has_a_label_of_its_own() {
    let labels: std::collections::HashSet<_> = Skipped::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(labels.len(), Skipped::ALL.len());
}
