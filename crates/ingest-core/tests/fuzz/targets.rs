//! Fuzz targets: functions of arbitrary bytes that panic where a rule violates an invariant. Shared by the run over the
//! corpus and by the libFuzzer targets in `fuzz/`.

use std::borrow::Cow;

use ingest_core::message::redact::{TOKEN_KEY, opaque, scrub, without_token};
use ingest_core::message::timestamp::{from_number, from_text};
use ingest_core::routes::payload_filter::PayloadFilter;
use ingest_core::routes::topic_filter::TopicFilter;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A function that a fuzzer feeds.
pub(crate) type Target = fn(&[u8]);

/// All targets by their names; each has a directory in the corpus.
pub(crate) const TARGETS: [(&str, Target); 4] =
    [("payload_filter", payload_filter), ("redact", redact), ("timestamp", timestamp), ("topic_filter", topic_filter)];

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
