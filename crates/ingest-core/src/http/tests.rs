use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::message::envelope::Envelope;
use crate::message::intake::Intake;
use crate::message::topic::Topic;

#[test]
fn a_body_is_an_object_without_the_blanks_around_it() {
    assert_eq!(object(b" \r\n{\"a\": 1.0 }\t"), Ok("{\"a\": 1.0 }"));
    for (body, why) in [
        (&b"\xff"[..], NotAnObject::NotUtf8),
        (b"", NotAnObject::NotJson(0)),
        (b"{\"a\":NaN}", NotAnObject::NotJson(6)),
        (b"{}{}", NotAnObject::NotJson(3)),
        (b"[1]", NotAnObject::Other),
        (b"\"{}\"", NotAnObject::Other),
        (b"null", NotAnObject::Other),
    ] {
        assert_eq!(object(body), Err(why));
    }
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(object(deep.as_bytes()), Ok(&*deep));
}

#[test]
fn a_member_is_added_at_the_end_and_nothing_else_changes() {
    for (text, expected) in [
        ("{}", r#"{"t":"x"}"#),
        ("{ \n}", "{ \n\"t\":\"x\"}"),
        (r#"{"a":1.0}"#, r#"{"a":1.0,"t":"x"}"#),
        (r#"{"t":5,"a":{} }"#, r#"{"t":5,"a":{} ,"t":"x"}"#),
        (r#"{"a":"{"}"#, r#"{"a":"{","t":"x"}"#),
    ] {
        assert_eq!(with_member(text, "t", "x"), expected);
    }
    assert_eq!(with_member("{}", "t", "\"\\\n"), r#"{"t":"\"\\\n"}"#);
}

#[test]
fn a_batch_is_of_1_to_100_messages_as_written() {
    assert_eq!(messages(br#"{"x":[], "messages":[ {"a": 1.0} ,5]}"#), Ok(vec![r#"{"a": 1.0}"#, "5"]));
    assert_eq!(messages(br#"{"messages":5,"messages":[1]}"#), Ok(vec!["1"]));
    for body in ["", "[]", "{}", "{\"messages\":{}}", "{\"messages\":[1]", "{\"messages\":[1]}x", "{\"messages\":[,]}"]
    {
        assert_eq!(messages(body.as_bytes()), Err(BatchError::Malformed), "{body}");
    }
    assert_eq!(messages(b"{\"messages\":[\"\xff\"]}"), Err(BatchError::Malformed));
    assert_eq!(messages(br#"{"messages":[]}"#), Err(BatchError::Empty));
    let of = |count: usize| json!({"messages": vec![1; count]}).to_string();
    assert_eq!(messages(of(MAX_MESSAGES).as_bytes()).map(|messages| messages.len()), Ok(MAX_MESSAGES));
    for more in [MAX_MESSAGES + 1, 10_000] {
        assert_eq!(messages(of(more).as_bytes()), Err(BatchError::TooMany));
    }
}

#[test]
fn a_message_of_a_batch_is_named_by_its_last_texts() {
    let names = Names::of(r#"{"tenant_id":"x","tenant_id":"a\u002fb","device_id":5,"msg_type":"telemetry","o":{}}"#);
    let expected = Names { tenant: Some("a/b".into()), device: None, msg_type: Some("telemetry".into()) };
    assert_eq!(names, Some(expected));
    for text in ["5", "[]", "null", "\"x\""] {
        assert_eq!(Names::of(text), None);
    }
}

#[test]
fn a_key_is_short_and_printable() {
    for key in ["a", " ", "~", &"x".repeat(128)] {
        assert!(is_idempotency_key(key));
    }
    for key in ["", "\u{e9}", "a\tb", "\x7f", &"x".repeat(129)] {
        assert!(!is_idempotency_key(key));
    }
}

#[test]
fn ids_are_told_apart_and_bounded() {
    assert_eq!(message_id("acme", "dev-1", "k:1", None), "http:acme:dev-1:k:1");
    assert_eq!(message_id("acme", "dev-1", "k", Some(7)), "batch-http:acme:dev-1:7:k");
    assert_ne!(message_id("a:b", "c", "k", None), message_id("a", "b:c", "k", None));
    assert_ne!(message_id("a", "b", "c:k", None), message_id("a", "b:c", "k", None));
    let longest = "\u{1f4a9}".repeat(255);
    let id = message_id(&longest, &longest, &"k".repeat(128), Some(99));
    assert!(id.len() < 320 && id.is_ascii(), "{id}");
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_passes_byte_for_byte(
        members in prop::collection::vec((".*", json_value()), 0..6),
        blanks in "[ \t\r\n]{0,3}",
        token in ".*",
    ) {
        // Equal names and blanks as nobody's serializer writes them.
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}{blanks}:{value}", Value::from(name.as_str()))).collect();
        let text = format!("{{{blanks}{}{blanks}}}", members.join(&format!("{blanks},{blanks}")));
        let body = format!("{blanks}{text}{blanks}");
        prop_assert_eq!(object(body.as_bytes()), Ok(&*text));

        let with_token = with_member(&text, "provision_token", &token);
        prop_assert!(with_token.starts_with(&text[..text.len() - 1]));
        let read: Value = serde_json::from_str(&with_token).unwrap();
        prop_assert_eq!(&read["provision_token"], &Value::from(token));

        let topic = "tenant/t/device/d/telemetry";
        let intake = Intake::new(topic, &Topic::parse(topic).unwrap(), "", &with_token, 1);
        prop_assert_eq!(&*Envelope::open(&intake.envelope).unwrap().payload, &*with_token);

        let batch = format!("{{\"messages\":{blanks}[{body},{body}]}}");
        prop_assert_eq!(messages(batch.as_bytes()), Ok(vec![&*text, &*text]));
    }

    #[test]
    fn two_different_origins_never_share_an_id(
        one in ("[a:%0-9]{1,4}", "[a:%0-9]{1,4}", "[a:0-9]{1,4}", prop::option::of(0_usize..3)),
        two in ("[a:%0-9]{1,4}", "[a:%0-9]{1,4}", "[a:0-9]{1,4}", prop::option::of(0_usize..3)),
    ) {
        let id = |(tenant, device, key, index): &(String, String, String, Option<usize>)| {
            message_id(tenant, device, key, *index)
        };
        prop_assert_eq!(id(&one) == id(&two), one == two);
    }
}
