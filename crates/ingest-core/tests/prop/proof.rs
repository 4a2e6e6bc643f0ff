use ingest_core::reprocess::proof::{FirstDelivery, Key, envelope};
use proptest::prelude::*;

fn origin() -> impl Strategy<Value = FirstDelivery> {
    ("[A-Z;v1 ]{0,8}", any::<u64>(), any::<i64>(), any::<bool>()).prop_map(
        |(stream, stream_seq, received_us, trusted)| FirstDelivery { stream, stream_seq, received_us, trusted },
    )
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 32]>().prop_map(|secret| Key::new(&secret).unwrap())
}

proptest! {
    #[test]
    fn a_header_proves_the_origin_it_was_made_of(origin in origin(), key in key(), body in any::<Vec<u8>>()) {
        let header = origin.header(&key, &body);
        prop_assert_eq!(FirstDelivery::proven(&header, &key, &body), Some(origin));
    }

    #[test]
    fn a_changed_header_or_body_proves_nothing(
        origin in origin(), key in key(), body in "[a-z]{0,20}", at in any::<prop::sample::Index>(), with in "[0-9a-z;]",
    ) {
        let header = origin.header(&key, body.as_bytes());
        let at = at.index(header.len());
        let mut changed = header.clone();
        changed.replace_range(at..=at, &with);
        prop_assert_eq!(FirstDelivery::proven(&changed, &key, body.as_bytes()).is_some(), changed == header);
        prop_assert_eq!(FirstDelivery::proven(&header, &key, (body.clone() + &with).as_bytes()), None);
        // Nothing may move from the header to the body.
        let (facts, proof) = header.rsplit_once(';').unwrap();
        let at = at.min(facts.len());
        let moved = format!("{};{proof}", &facts[..at]);
        prop_assert_eq!(FirstDelivery::proven(&moved, &key, (facts[at..].to_owned() + &body).as_bytes()).is_some(), at == facts.len());
    }

    #[test]
    fn an_envelope_holds_the_topic_and_the_payload(topic in "\\PC{0,20}", text in "\\PC{0,20}", number in any::<i64>()) {
        let payload = serde_json::json!({"a b": [text, number, {"\"": "\\"}], "c": null});
        let spread = serde_json::to_string_pretty(&payload).unwrap();
        let read: serde_json::Value = serde_json::from_str(&envelope(&topic, &spread)).unwrap();
        prop_assert_eq!(read, serde_json::json!({"topic": topic, "payload": payload}));
        let body = envelope(&topic, &spread);
        let compact = format!("\"payload\":{payload}}}");
        prop_assert!(body.ends_with(&compact));
    }

    #[test]
    fn arbitrary_text_proves_nothing(text in "\\PC{0,40}", key in key()) {
        prop_assert_eq!(FirstDelivery::proven(&text, &key, b""), None);
    }
}
