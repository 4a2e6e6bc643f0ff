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
        Self::of_device(parsed, Head::of(topic, parsed, username, now_ms).envelope(payload))
    }

    /// A message of a device whose envelope is there already.
    pub(super) fn of_device(topic: &Topic<'_>, envelope: Bytes) -> Self {
        let stream = IntakeStream::of(topic);
        let subject =
            format!("{}.{}.{}", stream.subject_root(), subject_token(topic.tenant), subject_token(topic.device));
        Self { stream, subject, envelope }
    }
}

/// The beginning of an envelope, up to the payload.
pub(super) struct Head(Vec<u8>);

impl Head {
    /// Of a device's message, as in [`Intake::new`].
    pub(super) fn of(topic: &str, parsed: &Topic<'_>, username: &str, now_ms: i64) -> Self {
        let msg_type = &topic[topic.len() - type_len(parsed)..];
        Self::new([topic, parsed.tenant, parsed.device, msg_type, username], now_ms)
    }

    /// Of a message whose topic names no device.
    pub(super) fn of_no_device(topic: &str, now_ms: i64) -> Self {
        Self::new([topic, "", "", "", ""], now_ms)
    }

    fn new([topic, tenant, device, msg_type, username]: [&str; 5], now_ms: i64) -> Self {
        let mut head = Vec::with_capacity(2 * topic.len() + 160);
        let mut member = |name: &str, value: &str| {
            head.extend_from_slice(if head.is_empty() { b"{" } else { b"," });
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(value.as_bytes());
        };
        member("\"topic\":", &json_text(topic));
        member("\"tenant_id\":", &json_text(tenant));
        member("\"device_id\":", &json_text(device));
        member("\"msg_type\":", &json_text(msg_type));
        member("\"username\":", &json_text(username));
        member("\"ts\":", &now_ms.to_string());
        member("\"payload\":", "");
        Self(head)
    }

    /// Bytes of the envelope beside its payload.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() + 1
    }

    /// The envelope with this payload, one JSON text.
    pub(super) fn envelope(mut self, payload: &str) -> Bytes {
        self.0.reserve_exact(payload.len() + 1);
        self.0.extend_from_slice(payload.as_bytes());
        self.0.push(b'}');
        self.0.into()
    }
}

/// Bytes of the topic from its type's level on: the type's name in the envelope is the rest of the topic.
fn type_len(topic: &Topic<'_>) -> usize {
    topic.msg_type.len() + topic.rest.map_or(0, |rest| 1 + rest.len())
}

pub(super) fn json_text(text: &str) -> String {
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
