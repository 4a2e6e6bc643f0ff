//! The envelope: the JSON on the wire, parsed just far enough to find topic, user name and payload; or what stands for one where
//! the broker itself says the topic.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::rejection::{Reason, Rejection};

/// An opened envelope: three members, each a slice of the message, or a copy where it had escapes.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The topic; empty where it is absent or not a string.
    pub topic: ByteString,
    /// The payload's JSON text as received; empty where it is absent.
    pub payload: ByteString,
    /// The certificate's common name, where the broker authenticated the device by certificate; else empty.
    pub username: ByteString,
    /// What came in place of the payload's JSON, where the message is a payload and no JSON. Boxed: hardly any is.
    pub not_json: Option<Box<Bytes>>,
}

impl Envelope {
    /// The envelope of a message that is a payload itself, without a copy of it; an empty one is an absent payload.
    pub fn of_payload(topic: ByteString, body: &Bytes) -> Envelope {
        let mut envelope = Envelope { topic, ..Envelope::default() };
        if body.is_empty() {
            return envelope;
        }
        let text = ByteString::try_from(body.clone()).ok();
        let payload = text.and_then(|text| {
            let raw = serde_json::from_str::<&RawValue>(&text).ok()?;
            Some(text.slice_ref(raw.get()))
        });
        match payload {
            Some(payload) => envelope.payload = payload,
            None => envelope.not_json = Some(Box::new(body.clone())),
        }
        envelope
    }

    /// The size of the payload as received, in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.not_json.as_ref().map_or(self.payload.len(), |body| body.len())
    }

    /// Opens a message as received.
    ///
    /// # Errors
    /// `BAD_ENVELOPE` where it is not UTF-8, not JSON, or no object.
    pub fn open(body: &Bytes) -> Result<Envelope, Rejection> {
        let body = ByteString::try_from(body.clone())
            .map_err(|_| Rejection::new(Reason::BadEnvelope, "the message is not UTF-8"))?;
        let mut json = serde_json::Deserializer::from_str(&body);
        let opened = json
            .deserialize_map(Opener { body: &body })
            .and_then(|envelope| json.end().map(|()| envelope))
            // Only the position: the parser's own message could repeat values.
            .map_err(|error| {
                Rejection::new(Reason::BadEnvelope, format!("not a JSON object: byte {}", error.column()))
            })?;
        Ok(opened)
    }
}

struct Opener<'a> {
    body: &'a ByteString,
}

impl Opener<'_> {
    /// The value of a string member, borrowed from the message where it has no escapes.
    fn text(&self, raw: &RawValue) -> ByteString {
        if !raw.get().starts_with('"') {
            return ByteString::new();
        }
        match serde_json::from_str::<Text<'_>>(raw.get()) {
            Ok(Text(Cow::Borrowed(text))) => self.body.slice_ref(text),
            Ok(Text(Cow::Owned(text))) => text.into(),
            Err(_) => ByteString::new(),
        }
    }
}

impl<'de> Visitor<'de> for Opener<'_> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "topic" => envelope.topic = self.text(members.next_value::<&RawValue>()?),
                "username" => envelope.username = self.text(members.next_value::<&RawValue>()?),
                "payload" => envelope.payload = self.body.slice_ref(members.next_value::<&RawValue>()?.get()),
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

/// A JSON string, borrowed where it has no escapes (serde's own `Cow` always copies inside of containers).
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &'static str) -> Result<Envelope, Reason> {
        Envelope::open(&Bytes::from_static(text.as_bytes())).map_err(|rejection| rejection.reason)
    }

    #[test]
    fn an_envelope_is_opened_without_copying() {
        let body = Bytes::from_static(br#" {"topic":"tenant/a/device/b/telemetry","ts":1,"payload": {"a": [1, 2]} } "#);
        let envelope = Envelope::open(&body).unwrap();
        assert_eq!(envelope.topic, "tenant/a/device/b/telemetry");
        assert_eq!(envelope.payload, r#"{"a": [1, 2]}"#);
        assert!(body.as_ptr_range().contains(&envelope.payload.as_ptr()));
    }

    #[test]
    fn escapes_are_resolved_and_the_last_of_equal_members_wins() {
        let envelope =
            open(r#"{"t\u006fpic":"x","topic":"a\u002fb","payload":1,"payload":"x","username":null}"#).unwrap();
        assert_eq!(envelope.topic, "a/b");
        assert_eq!(envelope.payload, r#""x""#);
        assert_eq!(envelope.username, "");
    }

    #[test]
    fn anything_but_a_json_object_is_a_bad_envelope() {
        for text in
            ["", "null", "[]", "\"abc\"", "{}{}", "{\"a\":NaN}", "{\"payload\":{\"a\":1,}}", "{\"a\":0x10}", "{"]
        {
            assert_eq!(open(text).unwrap_err(), Reason::BadEnvelope, "{text}");
        }
        assert_eq!(
            Envelope::open(&Bytes::from_static(b"{\"topic\":\"\xe9\"}")).unwrap_err().reason,
            Reason::BadEnvelope
        );
    }

    #[test]
    fn a_payload_alone_is_taken_as_it_is_and_not_copied() {
        let of = |body: &'static [u8]| Envelope::of_payload("t".into(), &Bytes::from_static(body));
        let body = Bytes::from_static(b" {\"a\": [1, 2]}\n");
        let envelope = Envelope::of_payload("tenant/a/device/b/telemetry".into(), &body);
        assert_eq!((&*envelope.topic, &*envelope.username), ("tenant/a/device/b/telemetry", ""));
        assert_eq!((&*envelope.payload, envelope.payload_bytes()), (r#"{"a": [1, 2]}"#, 13));
        assert!(body.as_ptr_range().contains(&envelope.payload.as_ptr()));
        assert_eq!((&*of(b"").payload, of(b"").not_json), ("", None));
        for garbage in [&b"nonsense"[..], b"{\"a\":}", b"{} {}", b"\"open", b"NaN", b"\xff\x00", b" "] {
            let envelope = of(garbage);
            assert_eq!(envelope.not_json.as_deref().map(|body| &**body), Some(garbage));
            assert_eq!((&*envelope.payload, envelope.payload_bytes()), ("", garbage.len()));
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!(r#"{{"topic":"t","payload":{{"x":{}1{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(Envelope::open(&Bytes::from(deep)).is_ok());
    }

    #[test]
    fn a_topic_that_is_not_a_string_is_empty() {
        assert_eq!(open(r#"{"topic":5}"#).unwrap().topic, "");
        assert_eq!(open(r#"{"topic":["a"]}"#).unwrap().topic, "");
    }
}
