//! Messages of an MQTT broker: whatever a publisher sends becomes an intake, or is one of the platform's own messages. Nothing
//! is rejected here: the pipeline does that, with its reason.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::digest::sha256_hex;
use super::intake::{Head, Intake, IntakeStream, json_text};
use super::names::subject_token;
use super::topic::{self, Topic};

/// The intake of a message; `None` for one that the platform itself publishes to a device (`.../commands`,
/// `.../shadow/desired`): it would come back as if the device had sent it.
///
/// One JSON text is passed on byte for byte. What is none becomes a JSON string, so that the pipeline rejects it as
/// `INVALID_PAYLOAD`: other text as it is, other bytes in base64. A topic that is not a device's goes to `TELEMETRY`, where the
/// pipeline rejects it as `BAD_TOPIC_FORMAT`. Of a message whose envelope would be larger than its stream's `max_bytes` the
/// beginning is passed on as such a string; it is refused as too large where the pipeline's limit is lower than the broker's.
/// `now_ms` is the time of arrival in Unix milliseconds.
pub fn intake(
    topic: &str,
    payload: &[u8],
    max_bytes: impl FnOnce(IntakeStream) -> usize,
    now_ms: i64,
) -> Option<Intake> {
    let parsed = Topic::parse(topic);
    if parsed.as_ref().is_some_and(Topic::is_own) {
        return None;
    }
    let stream = parsed.as_ref().map_or(IntakeStream::Telemetry, IntakeStream::of);
    let with_payload = |head: Head| -> Bytes {
        let left = max_bytes(stream).saturating_sub(head.bytes());
        head.envelope(&payload_text(payload, left))
    };
    Some(match parsed {
        Some(parsed) => Intake::of_device(&parsed, with_payload(Head::of(topic, &parsed, "", now_ms))),
        None => Intake {
            stream,
            // No tenant has this token.
            subject: format!("telemetry.{}", subject_token("")),
            // Longer than every device's topic, it is none in any case.
            envelope: with_payload(Head::of_no_device(prefix(topic, topic::MAX_BYTES + 4), now_ms)),
        },
    })
}

/// The id under which a stream takes a message once within its duplicate window; `None` for QoS 0, whose messages have no
/// packet id and are not sent again.
///
/// A broker sends a message that was not acknowledged again with the same packet id, and gives the id to another message
/// after that: of the same content, that would be taken for the first.
pub fn message_id(client_id: &str, packet_id: u16, topic: &str, payload: &[u8]) -> Option<String> {
    // One that nobody can make collide: else a device could make another one's message pass for its own.
    let hash = || sha256_hex(&[topic.as_bytes(), &[0], payload].concat());
    (packet_id != 0).then(|| format!("mqtt:{client_id}:{packet_id}:{}", hash()))
}

/// Whether a text is a filter of topics: `#` alone at the last level, `+` alone at any.
pub fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let is_level = |(index, level): (usize, &&str)| match *level {
        "#" => index + 1 == levels.len(),
        "+" => true,
        name => !name.contains(['#', '+', '\0']),
    };
    !text.is_empty() && text.len() <= usize::from(u16::MAX) && levels.iter().enumerate().all(is_level)
}

/// A JSON text of at most `max_bytes` (and at least the empty string).
fn payload_text(payload: &[u8], max_bytes: usize) -> Cow<'_, str> {
    match str::from_utf8(payload) {
        Ok(text) if text.len() <= max_bytes && serde_json::from_str::<&RawValue>(text).is_ok() => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(json_text(quotable(text, max_bytes))),
        Err(_) => {
            let whole = max_bytes.saturating_sub(2) / 4 * 3;
            Cow::Owned(json_text(&BASE64.encode(&payload[..payload.len().min(whole)])))
        }
    }
}

/// The longest beginning of a text that is at most `max_bytes` long as a JSON string.
fn quotable(text: &str, max_bytes: usize) -> &str {
    let mut left = max_bytes.saturating_sub(2);
    let end = text.char_indices().find_map(|(at, letter)| {
        let quoted = match letter {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        let fits = quoted <= left;
        left = left.saturating_sub(quoted);
        (!fits).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

/// The longest beginning of at most `max_bytes`.
fn prefix(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::envelope::Envelope;

    const MAX: usize = 1_000_000;
    const TOPIC: &str = "tenant/acme/device/dev-1/telemetry";

    fn opened(topic: &str, payload: &[u8], max_bytes: usize) -> Envelope {
        let intake = intake(topic, payload, |_| max_bytes, 1).unwrap();
        Envelope::open(&intake.envelope).unwrap()
    }

    #[test]
    fn json_passes_byte_for_byte_and_everything_else_as_a_string() {
        for text in [r#"{"seq": 2.0, "x":1e400 ,"x":"é"}"#, "5", "null", "[1]", "\"abc\"", " {} ", r#"{"a":"\ud800"}"#]
        {
            assert_eq!(&*opened(TOPIC, text.as_bytes(), MAX).payload, text.trim(), "{text}");
        }
        for (payload, expected) in [
            (&b""[..], r#""""#),
            (b"on", r#""on""#),
            (b"{\"a\":NaN}", r#""{\"a\":NaN}""#),
            (b"{} {}", r#""{} {}""#),
            (b"a\0\"\n", r#""a\u0000\"\n""#),
            (b"\xff\xfe", r#""//4=""#),
        ] {
            assert_eq!(&*opened(TOPIC, payload, MAX).payload, expected, "{payload:?}");
        }
    }

    #[test]
    fn no_envelope_is_larger_than_the_broker_takes() {
        let payloads = [vec![b'"'; 3_000], vec![1; 3_000], vec![0xff; 3_000], "é".repeat(1_500).into_bytes()];
        for payload in payloads.iter().chain([&[b"{\"a\":\"", &[b'x'; 3_000][..], b"\"}"].concat()]) {
            for max in 500..520 {
                let intake = intake(TOPIC, payload, |_| max, 1).unwrap();
                assert!(intake.envelope.len() <= max && intake.envelope.len() > max - 8, "{}", intake.envelope.len());
                assert!(Envelope::open(&intake.envelope).is_ok());
            }
        }
    }

    #[test]
    fn a_topic_that_is_no_devices_goes_where_it_is_rejected() {
        let long = format!("tenant/acme/device/dev-1/{}", "é".repeat(2_000));
        for topic in ["tenant/acme/device/dev-1", "tenant//device/d/telemetry", "", &long] {
            let intake = intake(topic, b"{}", |_| MAX, 1).unwrap();
            assert_eq!((intake.stream, &*intake.subject), (IntakeStream::Telemetry, "telemetry.%"), "{topic}");
            let envelope = Envelope::open(&intake.envelope).unwrap();
            assert!(topic.starts_with(&*envelope.topic) && envelope.topic.len() <= topic::MAX_BYTES + 4);
            assert_eq!(Topic::parse(&envelope.topic), None);
        }
        let known = intake("tenant/a/device/d/commands/ack", b"{}", |_| MAX, 1).unwrap();
        assert_eq!((known.stream, &*known.subject), (IntakeStream::Commands, "commands.a.d"));
    }

    #[test]
    fn the_platforms_own_messages_are_not_taken_in() {
        let is_own = |rest: &str| intake(&format!("tenant/a/device/d/{rest}"), b"{}", |_| MAX, 1).is_none();
        assert!(is_own("commands") && is_own("shadow/desired"));
        for rest in ["commands/ack", "commands/", "shadow", "shadow/reported", "shadow/desired/x", "telemetry"] {
            assert!(!is_own(rest), "{rest}");
        }
    }

    #[test]
    fn an_id_names_client_packet_and_content() {
        let id = |client: &str, packet, topic: &str, payload: &[u8]| message_id(client, packet, topic, payload);
        let first = id("gateway-0", 7, TOPIC, b"{}").unwrap();
        assert!(first.starts_with("mqtt:gateway-0:7:") && first.len() == "mqtt:gateway-0:7:".len() + 64, "{first}");
        assert_eq!(id("gateway-0", 7, TOPIC, b"{}").unwrap(), first);
        for other in [
            id("gateway-1", 7, TOPIC, b"{}"),
            id("gateway-0", 8, TOPIC, b"{}"),
            id("gateway-0", 7, "t", b"{}"),
            id("gateway-0", 7, TOPIC, b"[]"),
        ] {
            assert_ne!(other.unwrap(), first);
        }
        assert_eq!(id("gateway-0", 0, TOPIC, b"{}"), None);
    }

    #[test]
    fn a_filter_has_wildcards_for_whole_levels() {
        for good in ["#", "+", "tenant/+/device/+/#", "a", "/", "a//b", "tenant/+/device/+/telemetry"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a+/b", "a/+b", "a/#/b"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
