use std::borrow::Cow;

use ingest_core::message::redact::{TOKEN_KEY, opaque, scrub, without_token};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// What must never be seen again: no other text of a test holds even its beginning.
const SECRET: &str = "S3CR3T";
const SECRET_NUMBER: u64 = 9_876_543_210;

/// Tokens as devices might send them.
fn tokens() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[\"\\\\,:}{ é]{0,3}".prop_map(|tail| Value::from(format!("{SECRET}{tail}"))),
        "[\"\\\\,:}{ é]{0,3}".prop_map(|head| Value::from(format!("{head}{SECRET}"))),
        Just(Value::from(SECRET_NUMBER)),
        Just(Value::from(vec![SECRET])),
        Just(serde_json::json!({ "t": [SECRET, { "x": SECRET }] })),
    ]
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[\"\\\\,:}{ é]{0,3}", Just("provision_toke".to_owned()), Just("Provision_token".to_owned())]
}

/// JSON without any token.
fn harmless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        "[a\"\\\\,:}{ é\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// JSON with tokens here and there, also in objects that are encoded in strings.
fn leaky() -> impl Strategy<Value = Value> {
    let object = || {
        (prop::collection::vec((keys(), harmless()), 0..3), tokens()).prop_map(|(members, token)| {
            let mut object: Map<String, Value> = members.into_iter().collect();
            object.insert(TOKEN_KEY.to_owned(), token);
            Value::Object(object)
        })
    };
    object().prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
            inner.clone().prop_map(|value| Value::from(value.to_string())),
            (keys(), inner, object()).prop_map(|(key, value, mut object)| {
                if let Value::Object(members) = &mut object {
                    members.insert(key, value);
                }
                object
            }),
        ]
    })
}

/// Objects with tokens here and there.
fn payloads() -> impl Strategy<Value = Value> {
    leaky().prop_map(|value| if value.is_object() { value } else { serde_json::json!({ "a": value }) })
}

/// The value without its tokens, by a straightforward implementation.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, _)| *key != TOKEN_KEY);
            Value::Object(kept.map(|(key, value)| (key.clone(), cleaned(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(cleaned).collect()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner) if text.contains(TOKEN_KEY) => Value::from(cleaned(&inner).to_string()),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// Another spelling of the same JSON: letters of keys as `\u` escapes, blanks between tokens. `choices` decides where.
fn respelled(json: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    let mut choices = choices.iter().copied().cycle();
    let mut in_string = false;
    let mut is_escaped = false;
    for c in json.chars() {
        let choice = choices.next().unwrap_or(0);
        match c {
            _ if is_escaped => {
                is_escaped = false;
                out.push(c);
                continue;
            }
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            'a'..='z' | '_' if in_string && choice < 25 => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
                continue;
            }
            '{' | '}' | '[' | ']' | ',' | ':' if !in_string && choice < 80 => {
                out.push_str([" ", "\n", "\t\r"][usize::from(choice % 3)]);
                out.push(c);
                out.push_str([" ", "", "\n"][usize::from(choice % 3)]);
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

fn leaks(bytes: &[u8]) -> bool {
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    holds(b"S3C") || holds(&SECRET_NUMBER.to_string().as_bytes()[..5])
}

proptest! {
    #[test]
    fn scrubbing_removes_every_token_and_nothing_else(value in leaky(), choices in prop::collection::vec(any::<u8>(), 1..40)) {
        let text = respelled(&value.to_string(), &choices);
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
        let scrubbed = scrub(&text);
        prop_assert!(!leaks(scrubbed.as_bytes()), "{}", scrubbed);
        prop_assert_eq!(serde_json::from_str::<Value>(&scrubbed).unwrap(), cleaned(&value), "{}", text);
        prop_assert!(matches!(scrub(&scrubbed), Cow::Borrowed(_)) || scrubbed.contains("\\u"));
    }

    #[test]
    fn a_payload_loses_its_own_tokens_alone(value in payloads(), choices in prop::collection::vec(any::<u8>(), 1..40)) {
        let text = respelled(&value.to_string(), &choices);
        let redacted = without_token(&text);
        let mut expected = value.clone();
        expected.as_object_mut().unwrap().remove(TOKEN_KEY);
        prop_assert_eq!(serde_json::from_str::<Value>(&redacted).unwrap(), expected);
    }

    #[test]
    fn without_a_token_every_byte_stays(value in harmless(), choices in prop::collection::vec(any::<u8>(), 1..40)) {
        let text = respelled(&value.to_string(), &choices);
        prop_assert!(matches!(scrub(&text), Cow::Borrowed(same) if same == text), "{}", text);
        prop_assert!(matches!(without_token(&text), Cow::Borrowed(same) if same == text), "{}", text);
    }

    #[test]
    fn several_tokens_of_one_object_all_go(
        members in prop::collection::vec(prop_oneof![
            Just(format!("\"provision_token\":\"{SECRET}\"")),
            Just(format!("\"provision\\u005ftoken\" : [\"{SECRET}\"]")),
            Just("\"a\":1".to_owned()),
            Just(" \"b\" : [ 2 ] ".to_owned()),
        ], 0..6),
    ) {
        let text = format!("{{{}}}", members.join(","));
        for redacted in [without_token(&text), scrub(&text)] {
            prop_assert!(!leaks(redacted.as_bytes()));
            let kept: Vec<&str> = members.iter().filter(|member| !member.contains(SECRET)).map(|m| m.trim()).collect();
            let found: Value = serde_json::from_str(&redacted).unwrap();
            prop_assert_eq!(found, serde_json::from_str::<Value>(&format!("{{{}}}", kept.join(","))).unwrap());
            prop_assert_eq!(redacted.matches("\"a\":1").count(), kept.iter().filter(|m| m.starts_with("\"a")).count());
        }
    }

    #[test]
    fn truncated_or_broken_text_leaks_nothing(
        value in leaky(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        cut in any::<prop::sample::Index>(),
        head in prop::collection::vec(any::<u8>(), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let text = respelled(&value.to_string(), &choices);
        let mut bytes = head;
        bytes.extend_from_slice(&text.as_bytes()[..cut.index(text.len() + 1)]);
        bytes.extend_from_slice(&tail);
        let redacted = opaque(&bytes);
        prop_assert!(!leaks(&redacted), "{:?} of {:?}", String::from_utf8_lossy(&redacted), String::from_utf8_lossy(&bytes));
        let again = opaque(&redacted);
        prop_assert!(!leaks(&again));
    }

    #[test]
    fn text_that_is_no_json_leaks_nothing_when_scrubbed(value in leaky(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        let at = text.floor_char_boundary(cut.index(text.len() + 1));
        let broken = format!("{} NaN", &text[..at]);
        prop_assert!(!leaks(scrub(&broken).as_bytes()), "{}", broken);
        prop_assert!(!leaks(scrub(&serde_json::json!({ "payload": broken }).to_string()).as_bytes()), "{}", broken);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(provision_token|\\\\u005f|[\"\\\\:=,{}\\[\\] ']|\\PC){0,30}") {
        opaque(&bytes);
        opaque(text.as_bytes());
        scrub(&text);
        without_token(&text);
        prop_assert!(std::str::from_utf8(&opaque(text.as_bytes())).is_ok());
    }
}
