//! Intakes of an MQTT broker's messages: whatever is published can be passed on, opened, and told from what was not.

use base64::prelude::*;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::mqtt::intake;
use ingest_core::message::topic::Topic;
use proptest::prelude::*;
use serde_json::Value;

/// Topics of devices, nearly such topics, and others.
fn topics() -> impl Strategy<Value = String> {
    prop_oneof![
        "tenant/[^/]{0,3}/device/[^/]{0,3}/(telemetry|shadow/reported|commands/ack|[^/]{0,4}(/[^/]{0,3}){0,2})",
        "tenant/a/device/(d|d/|/t)",
        ".{0,30}",
    ]
}

/// JSON, broken JSON, text and bytes.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "\\{\"a\":(1|\"[^\"\\\\]{0,20}\"|\\[\\]|NaN)\\}?".prop_map(String::into_bytes),
        "[\\x00-\\x20\"\\\\aé\u{1f4a9}]{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #[test]
    fn every_message_can_be_opened_and_is_as_large_as_it_may_be(
        topic in topics(),
        payload in payloads(),
        max_bytes in 0_usize..600,
    ) {
        let Some(intake) = intake(&topic, &payload, |_| max_bytes, 1) else {
            prop_assert!(topic.ends_with("/commands") || topic.ends_with("/shadow/desired"), "{}", topic);
            return Ok(());
        };
        let envelope = Envelope::open(&intake.envelope).unwrap();
        prop_assert_eq!(&*envelope.topic, topic.as_str());
        prop_assert_eq!(&*envelope.username, "");
        prop_assert!(!intake.subject.contains(char::is_whitespace) && !intake.subject.contains(['*', '>']));
        prop_assert_eq!(Topic::parse(&topic).is_none(), intake.subject == "telemetry.%");
        let head = intake.envelope.len() - envelope.payload.len();
        prop_assert!(intake.envelope.len() <= max_bytes.max(head + 2) || envelope.payload.len() <= 2);
    }

    #[test]
    fn what_fits_is_passed_on_whole(payload in payloads()) {
        let intake = intake("tenant/a/device/d/telemetry", &payload, |_| 10_000, 1).unwrap();
        let passed = Envelope::open(&intake.envelope).unwrap().payload;
        match str::from_utf8(&payload) {
            Ok(text) if serde_json::from_str::<Value>(text).is_ok() => prop_assert_eq!(&*passed, text.trim()),
            Ok(text) => prop_assert_eq!(serde_json::from_str::<String>(&passed).unwrap(), text),
            Err(_) => {
                let encoded: String = serde_json::from_str(&passed).unwrap();
                prop_assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), payload);
            }
        }
    }
}
