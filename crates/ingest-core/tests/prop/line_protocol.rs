use std::collections::HashSet;

use influxdb_line_protocol::{FieldValue as Parsed, parse_lines};
use ingest_core::influx::line_protocol::{self, FieldValue, Kind, Skipped, Tags, is_reserved};
use proptest::prelude::*;

use crate::line_names::decoded;

/// Names with every special character of line protocol, and with what the percent-encoding writes.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}",
        "[ab\\\\,= \"'#%\n\r\t]{1,6}",
        "(a|\n|%|%0A|%25|%5C|%7F|%0a|\\\\|\x7F|0A|5C){1,4}",
        "[\\x00-\\x7F]{1,4}",
        "\\PC{1,8}",
        any::<String>().prop_filter("no name is empty", |name| !name.is_empty()),
    ]
}

/// The numbers and booleans of JSON.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| { serde_json::Value::from(number).to_string() }),
        "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "true|false",
    ]
}

fn field_value(json: &str) -> Result<FieldValue<'_>, Skipped> {
    match json {
        "true" => Ok(FieldValue::Boolean(true)),
        "false" => Ok(FieldValue::Boolean(false)),
        number => FieldValue::from_number(number),
    }
}

#[derive(Clone, Debug)]
struct Point {
    kind: Kind,
    device_id: String,
    site_id: String,
    tenant_id: Option<String>,
    seq: i64,
    metrics: Vec<(String, String)>,
    event_us: i64,
}

impl Point {
    /// The metrics that reach the point.
    fn fields(&self) -> Vec<(&str, FieldValue<'_>)> {
        let mut seen = HashSet::new();
        let metrics = self.metrics.iter().filter(|(key, _)| !is_reserved(key) && seen.insert(key.as_str()));
        metrics.filter_map(|(key, json)| Some((key.as_str(), field_value(json).ok()?))).collect()
    }

    fn line(&self) -> String {
        let mut line = String::new();
        let tags = Tags { tenant_id: self.tenant_id.as_deref(), ..Tags::new(&self.device_id, &self.site_id) };
        line_protocol::begin(&mut line, self.kind, tags, self.seq);
        for (key, value) in self.fields() {
            line_protocol::field(&mut line, key, value);
        }
        assert!(line_protocol::end(&mut line, self.event_us));
        line
    }
}

fn points() -> impl Strategy<Value = Point> {
    let kinds = prop_oneof![Just(Kind::Telemetry), Just(Kind::Heartbeat)];
    let metrics = prop::collection::vec((names(), values()), 0..6);
    let times = i64::MIN / 1_000..=i64::MAX / 1_000;
    (kinds, names(), names(), prop::option::of(names()), any::<i64>(), metrics, times).prop_map(
        |(kind, device_id, site_id, tenant_id, seq, metrics, event_us)| Point {
            kind,
            device_id,
            site_id,
            tenant_id,
            seq,
            metrics,
            event_us,
        },
    )
}

proptest! {
    #[test]
    fn every_line_of_a_batch_is_read_back_by_the_format_owners_parser(points in prop::collection::vec(points(), 1..4)) {
        let batch = points.iter().map(Point::line).collect::<Vec<_>>().join("\n");
        let lines: Vec<_> = parse_lines(&batch).collect();
        prop_assert_eq!(lines.len(), points.len(), "{}", batch);
        for (line, point) in lines.into_iter().zip(&points) {
            let line = line.map_err(|error| TestCaseError::fail(format!("{error}: {batch}")))?;
            let table = if point.kind == Kind::Telemetry { "telemetry" } else { "heartbeat" };
            prop_assert_eq!(line.series.measurement.as_str(), table);
            let tags = line.series.tag_set.unwrap();
            let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), decoded(value))).collect();
            let mut expected = vec![("device_id", point.device_id.clone()), ("site_id", point.site_id.clone())];
            expected.extend(point.tenant_id.clone().map(|tenant_id| ("tenant_id", tenant_id)));
            prop_assert_eq!(tags, expected);
            prop_assert_eq!(line.timestamp, Some(point.event_us * 1_000));
            let mut fields = line.field_set.iter();
            let seq = fields.next().unwrap();
            prop_assert_eq!((seq.0.as_str(), &seq.1), ("seq", &Parsed::I64(point.seq)));
            prop_assert_eq!(fields.len(), point.fields().len());
            for ((found_key, found), (key, value)) in fields.zip(point.fields()) {
                prop_assert_eq!(decoded(found_key), key);
                let value = match value {
                    FieldValue::Integer(text) => Parsed::I64(text.parse().unwrap()),
                    FieldValue::Float(text) => Parsed::F64(text.parse().unwrap()),
                    FieldValue::Boolean(value) => Parsed::Boolean(value),
                };
                prop_assert_eq!(found, &value);
            }
        }
    }

    #[test]
    fn two_names_never_become_one(one in names(), other in names()) {
        prop_assume!(one != other);
        let point = |device_id: &str| {
            let mut line = String::new();
            line_protocol::begin(&mut line, Kind::Heartbeat, Tags::new(device_id, "s"), 0);
            line
        };
        prop_assert_ne!(point(&one), point(&other));
        // What one name is written as is a name too.
        let line = point(&one);
        let written = line.strip_prefix("heartbeat,device_id=").and_then(|line| line.strip_suffix(",site_id=s seq=0i"));
        let written = written.unwrap();
        prop_assert!(written == one || point(written) != line);
    }

    #[test]
    fn a_number_is_a_field_exactly_where_its_type_holds_it(json in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?") {
        let is_float = json.contains(['.', 'e', 'E']);
        let expected = match is_float {
            true if json.parse::<f64>().unwrap().is_finite() => Ok(FieldValue::Float(&json)),
            true => Err(Skipped::NotFinite),
            false if json.parse::<i64>().is_ok() => Ok(FieldValue::Integer(&json)),
            false => Err(Skipped::OutOfRange),
        };
        prop_assert_eq!(FieldValue::from_number(&json), expected);
    }
}
