//! A sample: what a tap shows of a message, as one line of JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use super::seen::{Decision, TappedMessage};
use crate::message::compact::compact;
use crate::message::quarantine_content::{self as content, Content, Retained};
use crate::message::redact;
use crate::message::rejection::Rejection;
use crate::message::timestamp::to_text;
use crate::message::topic::{MAX_BYTES, Topic};
use crate::message::visible::json_visible;

#[derive(Serialize)]
struct Sample<'a> {
    at: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    stream: &'a str,
    stream_seq: u64,
    attempt: u32,
    received_at: String,
    tenant: Option<&'a str>,
    device: Option<&'a str>,
    topic: &'a str,
    /// Bytes of the message as received.
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    /// What is no JSON, or too large: its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// What of it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What a tap shows of a message, one line of JSON without a line feed: as much of its content as the quarantine would keep, without
/// provision tokens, and without anything that could move a cursor. `now_us`: Unix microseconds.
pub fn sample(seen: &TappedMessage<'_>, now_us: i64) -> String {
    let Retained { content, note } = match seen.envelope {
        Some(envelope) if envelope.not_json.is_none() => content::text(&envelope.payload, content::CUT_BYTES),
        Some(envelope) => {
            content::bytes(envelope.not_json.as_deref().map_or(&[], |body| &body[..]), content::CUT_BYTES)
        }
        None => content::bytes(seen.body, content::CUT_BYTES),
    };
    let (payload, raw) = match content {
        Content::Json(text) => match RawValue::from_string(compact(&text)) {
            Ok(payload) => (Some(payload), None),
            Err(_) => (None, Some(text)),
        },
        Content::Raw(bytes) => (None, Some(bytes.escape_ascii().to_string())),
    };
    let raw = raw.filter(|raw| !raw.is_empty());
    let whole = seen.envelope.map_or("", |envelope| &*envelope.topic);
    let topic = redact::opaque_text(&whole[..whole.floor_char_boundary(MAX_BYTES)]);
    let parsed = Topic::parse(&topic);
    let rejection = match seen.verdict {
        Decision::Rejected(rejection) => Some(rejection),
        _ => None,
    };
    let detail = rejection.map(|Rejection { detail, .. }| &**detail).filter(|detail| !detail.is_empty());
    let sample = Sample {
        at: to_text(now_us),
        outcome: seen.verdict.outcome().as_str(),
        reason: rejection.map(|rejection| rejection.reason.as_str()),
        detail,
        stream: seen.stream,
        stream_seq: seen.stream_seq,
        attempt: seen.attempt,
        received_at: to_text(seen.received_us),
        tenant: parsed.map(|topic| topic.tenant),
        device: parsed.map(|topic| topic.device),
        topic: &topic,
        bytes: seen.body.len(),
        payload,
        raw,
        note,
    };
    json_visible(&serde_json::to_string(&sample).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::message::envelope::Envelope;
    use crate::message::rejection::Reason;

    fn shown(envelope: Option<&Envelope>, body: &[u8], verdict: Decision<'_>) -> (String, Value) {
        let (stream, stream_seq, attempt, received_us) = ("TELEMETRY", 7, 2, 1_795_219_200_000_000);
        let seen = TappedMessage { stream, stream_seq, attempt, received_us, body, envelope, verdict };
        let line = sample(&seen, 1_795_219_200_000_001);
        let value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        (line, value)
    }

    #[test]
    fn a_sample_is_one_line_without_the_token_and_without_control_characters() {
        let payload = "{\"provision_token\":\"tok-secret\",\n \"x\": \"a\u{9b}2J\u{202e}\\u001b[2J\", \"n\": 1.50}";
        let envelope = Envelope {
            topic: "tenant/ac\u{1b}me/device/d/telemetry".into(),
            payload: payload.to_owned().into(),
            ..Envelope::default()
        };
        let rejection = Rejection::new(Reason::SiteMismatch, "site");
        let (line, value) = shown(Some(&envelope), b"12345", Decision::Rejected(&rejection));
        assert!(!line.contains("tok-secret") && !line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line}");
        assert!(line.contains("\"n\":1.50"), "numbers are as sent: {line}");
        assert_eq!(
            (&value["outcome"], &value["reason"], &value["detail"]),
            (&json!("rejected"), &json!("SITE_MISMATCH_REGISTRY_VS_PAYLOAD"), &json!("site"))
        );
        assert_eq!(
            (&value["tenant"], &value["attempt"], &value["bytes"]),
            (&json!("ac\u{1b}me"), &json!(2), &json!(5))
        );
        assert_eq!(value["at"], "2026-11-21T00:00:00.000001Z");
    }

    #[test]
    fn what_is_no_json_or_too_large_is_shown_by_its_beginning() {
        let (line, value) = shown(None, b"{\"provision_token\":\"tok-secret\" \x1b[2J\xff", Decision::Accepted);
        assert!(!line.contains("tok-secret") && value["raw"].as_str().unwrap().contains("\\x1b[2J\\xff"), "{line}");
        let large = Envelope { payload: format!("\"{}\"", "x".repeat(100_000)).into(), ..Envelope::default() };
        let (line, value) = shown(Some(&large), b"", Decision::Accepted);
        assert!(line.len() < 10_000 && value["note"].as_str().unwrap().contains("8192 of 100002"), "{value}");
        let garbage = Envelope { not_json: Some(Box::new(Bytes::from_static(b"nonsense"))), ..Envelope::default() };
        assert_eq!(shown(Some(&garbage), b"nonsense", Decision::Ignored).1["raw"], "nonsense");
        let (_, absent) = shown(Some(&Envelope::default()), b"{}", Decision::Accepted);
        assert_eq!((&absent["payload"], &absent["raw"]), (&Value::Null, &Value::Null));
    }
}
