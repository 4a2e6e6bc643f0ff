//! Intakes: what a way in makes of a device's message, to be published into a lane's stream.

use bytes::Bytes;
use serde_json::Value;

use super::names::subject_token;
use super::topic::Topic;

/// The streams that intakes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeStream {
    /// `TELEMETRY`, `telemetry.>`: every type but the two below.
    Telemetry,
    /// `SHADOW`, `shadow.>`: all topics below `shadow/`.
    Shadow,
    /// `COMMANDS`, `commands.>`: all topics below `commands/`.
    Commands,
}

impl IntakeStream {
    /// Every stream.
    pub const ALL: [IntakeStream; 3] = [IntakeStream::Telemetry, IntakeStream::Shadow, IntakeStream::Commands];

    /// The stream that messages of a topic go to.
    pub fn of(topic: &Topic<'_>) -> Self {
        match (topic.msg_type, topic.rest) {
            ("shadow", Some(_)) => IntakeStream::Shadow,
            ("commands", Some(_)) => IntakeStream::Commands,
            _ => IntakeStream::Telemetry,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            IntakeStream::Telemetry => "TELEMETRY",
            IntakeStream::Shadow => "SHADOW",
            IntakeStream::Commands => "COMMANDS",
        }
    }

    /// The first token of its subjects.
    const fn subject_root(self) -> &'static str {
        match self {
            IntakeStream::Telemetry => "telemetry",
            IntakeStream::Shadow => "shadow",
            IntakeStream::Commands => "commands",
        }
    }
}

/// A message as it is published: which stream is to acknowledge it, its subject, its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// The stream that takes it.
    pub stream: IntakeStream,
    /// `telemetry.{tenant}.{device}` or the like; the tokens are escaped.
    pub subject: String,
    /// The envelope's JSON.
    pub envelope: Bytes,
}

impl Intake {
    /// A message of a device.
    ///
    /// `topic` is the text that `parsed` was made from. `username` is the common name of a certificate that the way in has
    /// verified, else empty. `payload` must be one JSON text; it is passed on byte for byte. `now_ms` is the time of arrival
    /// in Unix milliseconds.
    pub fn new(topic: &str, parsed: &Topic<'_>, username: &str, payload: &str, now_ms: i64) -> Self {
        let stream = IntakeStream::of(parsed);
        let subject =
            format!("{}.{}.{}", stream.subject_root(), subject_token(parsed.tenant), subject_token(parsed.device));
        let mut envelope = Vec::with_capacity(payload.len() + 2 * topic.len() + 160);
        let mut member = |name: &str, value: &str| {
            envelope.extend_from_slice(if envelope.is_empty() { b"{" } else { b"," });
            envelope.extend_from_slice(name.as_bytes());
            envelope.extend_from_slice(value.as_bytes());
        };
        member("\"topic\":", &json_text(topic));
        member("\"tenant_id\":", &json_text(parsed.tenant));
        member("\"device_id\":", &json_text(parsed.device));
        member("\"msg_type\":", &json_text(&topic[topic.len() - type_len(parsed)..]));
        member("\"username\":", &json_text(username));
        member("\"ts\":", &now_ms.to_string());
        member("\"payload\":", payload);
        envelope.push(b'}');
        Self { stream, subject, envelope: envelope.into() }
    }
}

/// Bytes of the topic from its type's level on: the type's name in the envelope is the rest of the topic.
fn type_len(topic: &Topic<'_>) -> usize {
    topic.msg_type.len() + topic.rest.map_or(0, |rest| 1 + rest.len())
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::envelope::Envelope;

    fn intake(topic: &str, username: &str, payload: &str) -> Intake {
        Intake::new(topic, &Topic::parse(topic).unwrap(), username, payload, 1_795_219_200_000)
    }

    #[test]
    fn the_type_decides_the_stream_and_the_subject_names_tenant_and_device() {
        for (topic, stream, subject) in [
            ("tenant/acme/device/dev-1/telemetry", IntakeStream::Telemetry, "telemetry.acme.dev-1"),
            ("tenant/a.b/device/*/heartbeat", IntakeStream::Telemetry, "telemetry.a%2Eb.%2A"),
            ("tenant/a/device/d/shadow/reported", IntakeStream::Shadow, "shadow.a.d"),
            ("tenant/a/device/d/commands/ack", IntakeStream::Commands, "commands.a.d"),
            ("tenant/a/device/d/shadow", IntakeStream::Telemetry, "telemetry.a.d"),
        ] {
            let intake = intake(topic, "", "{}");
            assert_eq!((intake.stream, intake.subject.as_str()), (stream, subject), "{topic}");
        }
    }

    #[test]
    fn the_pipeline_opens_what_a_way_in_has_written_with_the_payload_byte_for_byte() {
        let (topic, payload) = ("tenant/\"a\\\u{e9}/device/d\n/shadow/reported", r#"{"seq": 2.0, "x":1e400 ,"x":"é"}"#);
        let intake = intake(topic, "a/\"d", payload);
        let envelope = Envelope::open(&intake.envelope).unwrap();
        assert_eq!((&*envelope.topic, &*envelope.username, &*envelope.payload), (topic, "a/\"d", payload));
        let text = std::str::from_utf8(&intake.envelope).unwrap();
        assert!(text.contains(r#""msg_type":"shadow/reported","#) && text.contains(r#""ts":1795219200000,"#), "{text}");
    }
}
