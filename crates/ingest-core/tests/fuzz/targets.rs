//! Fuzz targets: functions of arbitrary bytes that panic where a rule violates an invariant. Shared by the run over the
//! corpus and by the libFuzzer targets in `fuzz/`.

use std::borrow::Cow;

use bytes::Bytes;
use influxdb_line_protocol::{FieldValue, parse_lines};
use ingest_core::influx::line_protocol::Tags;
use ingest_core::influx::point::{self, SkipCounts, Source};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::metric::Metric;
use ingest_core::message::msg_type::MsgType;
use ingest_core::message::redact::{TOKEN_KEY, opaque, scrub, without_token};
use ingest_core::message::timestamp::{from_number, from_text};
use ingest_core::routes::payload_filter::PayloadFilter;
use ingest_core::routes::topic_filter::TopicFilter;
use serde::de::IgnoredAny;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[path = "line_names.rs"]
mod line_names;

use line_names::decoded;

/// A function that a fuzzer feeds.
pub(crate) type Target = fn(&[u8]);

/// All targets by their names; each has a directory in the corpus.
pub(crate) const TARGETS: [(&str, Target); 6] = [
    ("envelope", envelope),
    ("line_protocol", line_protocol),
    ("payload_filter", payload_filter),
    ("redact", redact),
    ("timestamp", timestamp),
    ("topic_filter", topic_filter),
];

/// An envelope opens exactly where another implementation finds an object, without copying; written again from its fields
/// it opens to the same fields. What is JSON is a payload by itself, too.
pub(crate) fn envelope(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let other = serde_json::from_slice::<Value>(data);
    let alone = Envelope::of_payload("t".into(), &body);
    assert!(
        alone.not_json.is_none() || other.is_err() && alone.payload.is_empty(),
        "{}",
        String::from_utf8_lossy(data)
    );
    let Ok(opened) = Envelope::open(&body) else {
        assert!(!matches!(other, Ok(Value::Object(_))), "{}", String::from_utf8_lossy(data));
        return;
    };
    let Envelope { topic, payload, username, .. } = &opened;
    assert!(
        payload.is_empty() || body.as_ptr_range().contains(&payload.as_ptr()),
        "the payload is a slice of the message"
    );
    // Numbers beyond f64, deep nesting and lone surrogates open, but `Value` can't hold them.
    if let Ok(other) = other {
        assert!(other.is_object(), "{other}");
        let text = |name: &str| other[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((topic.to_string(), username.to_string()), (text("topic"), text("username")));
        let as_value = (!payload.is_empty()).then(|| serde_json::from_str(payload).expect("the payload is JSON"));
        assert_eq!(as_value.as_ref(), other.get("payload"));
    }
    let mut members =
        vec![format!(r#""topic":{}"#, Value::from(&**topic)), format!(r#""username":{}"#, Value::from(&**username))];
    members.extend((!payload.is_empty()).then(|| format!(r#""payload":{payload}"#)));
    let written = Bytes::from(format!("{{{}}}", members.join(",")));
    let again = Envelope::open(&written).expect("what opens opens again");
    assert_eq!((&again.topic, &again.payload, &again.username), (topic, payload, username));
}

/// The format owner's parser reads a line as the values it was made of; the rest is left out and counted. Input, separated
/// by bytes 0xFF: device, site, tenant, sequence number, time in microseconds, then names and JSON values in turn.
pub(crate) fn line_protocol(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xFF).map(String::from_utf8_lossy);
    let mut next = || parts.next().unwrap_or_default();
    let (device_id, site_id, tenant_id) = (next(), next(), next());
    let (seq, event_us) = (next().parse().unwrap_or(0), next().parse().unwrap_or(1));
    let rest: Vec<_> = parts.collect();
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok() && text.trim() == text;
    let pairs = rest.chunks_exact(2).filter(|pair| !pair[0].is_empty() && is_json(&pair[1]));
    let metrics: Vec<_> = pairs.map(|pair| Metric { key: Cow::Borrowed(&*pair[0]), raw: &pair[1] }).collect();
    if device_id.is_empty() || site_id.is_empty() {
        return; // validation rejects such messages
    }
    let tenant_id = (!tenant_id.is_empty()).then_some(&*tenant_id);
    let tags = Tags { device_id: &device_id, site_id: &site_id, tenant_id };
    let source = Source { msg_type: &MsgType::Telemetry, tags, seq, event_us, metrics: &metrics, keys: None };
    let mut skipped = SkipCounts::default();
    let Some(line) = point::line(source, &mut skipped) else {
        assert!(event_us.checked_mul(1_000).is_none() && skipped.points == 1, "{event_us}");
        return;
    };
    let mut lines = parse_lines(&line);
    let parsed = lines.next().expect("a line").unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(lines.next().is_none(), "{line}");
    assert_eq!(
        (parsed.series.measurement.as_str(), parsed.timestamp),
        ("telemetry", event_us.checked_mul(1_000)),
        "{line}"
    );
    let written_tags = parsed.series.tag_set.iter().flatten().map(|(key, value)| (key.to_string(), decoded(value)));
    let mut expected_tags = vec![("device_id", &*device_id), ("site_id", &*site_id)];
    expected_tags.extend(tenant_id.map(|tenant_id| ("tenant_id", tenant_id)));
    assert!(
        written_tags.eq(expected_tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))),
        "{line}"
    );
    let written = parsed.field_set.iter().map(|(key, value)| (decoded(key), value.clone()));
    let expected = expected_fields(&metrics, tenant_id.is_some());
    assert!(
        written.eq([("seq".to_owned(), FieldValue::I64(seq))].into_iter().chain(expected.clone())),
        "{line} {expected:?}"
    );
    assert_eq!(skipped.fields.iter().sum::<u64>(), (metrics.len() - expected.len()) as u64, "{line}");
}

/// The fields that metrics become: each name once, at its first place and with its last value, where that is a boolean, an
/// integer in i64 or a float in f64.
fn expected_fields(metrics: &[Metric<'_>], is_shared: bool) -> Vec<(String, FieldValue<'static>)> {
    let is_reserved = |key: &str| {
        ["time", "device_id", "site_id", "seq", "__chunk_order"].contains(&key) || (is_shared && key == "tenant_id")
    };
    let mut fields: Vec<(String, Option<FieldValue<'static>>)> = Vec::new();
    for Metric { key, raw } in metrics.iter().filter(|metric| !is_reserved(&metric.key)) {
        let value = match serde_json::from_str::<bool>(raw) {
            Ok(value) => Some(FieldValue::Boolean(value)),
            Err(_) if !raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => None,
            Err(_) if raw.contains(['.', 'e', 'E']) => {
                raw.parse().ok().filter(|value: &f64| value.is_finite()).map(FieldValue::F64)
            }
            Err(_) => raw.parse().ok().map(FieldValue::I64),
        };
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, known)) => *known = value,
            None => fields.push((key.to_string(), value)),
        }
    }
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A text that names an instant names the one that another implementation writes for it.
pub(crate) fn timestamp(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for at_us in [from_text(&text), from_number(&text)].into_iter().flatten() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000).expect("years 1 to 9999");
        let written = at.format(&Rfc3339).expect("years 1 to 9999");
        assert_eq!(from_text(&written), Some(at_us), "{text:?} is {written}");
    }
}

/// A filter matches like the rule applied level by level. Input: filter, line feed, topic.
pub(crate) fn topic_filter(data: &[u8]) {
    fn naive<'a>(mut filter: impl Iterator<Item = &'a str>, mut topic: impl Iterator<Item = &'a str>) -> bool {
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(level)) if !level.is_empty() => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }
    let text = String::from_utf8_lossy(data);
    let (filter, topic) = text.split_once('\n').unwrap_or((&text, ""));
    match TopicFilter::parse(filter) {
        Ok(parsed) => assert_eq!(parsed.matches(topic), naive(filter.split('/'), topic.split('/')), "{filter} {topic}"),
        Err(_) => assert!(filter.is_empty()),
    }
}

/// Any filter on any value has a result, the same for a metric and for a member. Input: filter, line feed, JSON text of a value.
pub(crate) fn payload_filter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (filter, value) = text.split_once('\n').unwrap_or((&text, "1"));
    let Ok(parsed) = PayloadFilter::parse(filter) else { return };
    let as_metric = parsed.matches(|_| Some(value), |_| None);
    assert_eq!(as_metric, parsed.matches(|_| None, |_| Some(value)), "{filter} {value}");
    assert_eq!(as_metric, parsed.matches(|_| Some("null"), |_| Some(value)), "{filter} {value}");
    let asks_for_something = !matches!(serde_json::from_str(filter), Ok(Value::Null)) && filter.contains(':');
    assert_eq!(parsed.matches(|_| None, |_| None), !asks_for_something, "{filter}");
}

/// JSON stays JSON and loses its tokens, the rest is unchanged; text stays text; no bytes panic.
pub(crate) fn redact(data: &[u8]) {
    let masked = opaque(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(std::str::from_utf8(&masked).is_ok(), "{text}");
    let (scrubbed, payload) = (scrub(text), without_token(text));
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let found: Value = serde_json::from_str(&scrubbed).expect("JSON stays JSON");
    assert!(!holds_token(&found, 0), "{scrubbed}");
    if !holds_token(&value, 0) && !text.contains("\\u") && !text.contains(TOKEN_KEY) {
        // An encoded part may still hold one.
        assert!(matches!(scrubbed, Cow::Borrowed(_)) || scrubbed.contains("***"), "{text}");
    }
    if let Value::Object(mut members) = value {
        members.remove(TOKEN_KEY);
        let found: Value = serde_json::from_str(&payload).expect("JSON stays JSON");
        assert_eq!(found, Value::Object(members), "{text}");
    }
}

/// Whether a token is left, also within strings (as deep as a stack allows).
fn holds_token(value: &Value, strings: u32) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| {
            // What was masked may be JSON afterwards.
            (key == TOKEN_KEY && *value != "***")
                || holds_token(&Value::from(key.as_str()), strings)
                || holds_token(value, strings)
        }),
        Value::Array(values) => values.iter().any(|value| holds_token(value, strings)),
        Value::String(text) if strings < 16 => {
            serde_json::from_str(text).is_ok_and(|value: Value| holds_token(&value, strings + 1))
        }
        _ => false,
    }
}
