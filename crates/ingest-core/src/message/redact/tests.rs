use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::token::MASK;
use super::{scrub, without_token};

#[test]
fn the_token_is_removed_and_the_rest_is_unchanged_byte_for_byte() {
    for (text, expected) in [
        (r#"{"provision_token":"x"}"#, r#"{}"#),
        (r#"{ "provision_token" : "x" }"#, r#"{  }"#),
        (r#"{"a":1,"provision_token":"x"}"#, r#"{"a":1}"#),
        (r#"{"provision_token":"x","a":1}"#, r#"{"a":1}"#),
        (r#"{"a": 1, "provision_token": "x", "b" :2.50}"#, r#"{"a": 1,  "b" :2.50}"#),
        ("{\n\t\"a\":1,\n\t\"provision_token\":\"x\"\n}", "{\n\t\"a\":1\n}"),
        (r#"{"provision_token":1,"provision_token":[2,{"a":"}"}],"provision_token":null}"#, "{}"),
        (r#"{"provision_token":1,"a":{},"provision_token":2,"provision_token":3}"#, r#"{"a":{}}"#),
        (r#"{"provision\u005ftoken":"x","a":"\u005f"}"#, r#"{"a":"\u005f"}"#),
        (r#"{"\u0070\u0072\u006F\u0076\u0069\u0073ion_token":"x"}"#, "{}"),
        (r#"{"a":"a,\"provision_token\":\\","provision_token":"q\"}\\"}"#, r#"{"a":"a,\"provision_token\":\\"}"#),
    ] {
        assert_eq!(without_token(text), expected, "{text}");
        assert!(serde_json::from_str::<IgnoredAny>(expected).is_ok());
    }
}

#[test]
fn without_a_token_nothing_is_copied() {
    for text in [
        "{}",
        r#"{"a":"gr\u00fcn","b":[1,{"c":null}]}"#,
        r#"{"provision_tokens":1,"provision_toke":2,"Provision_token":3,"a":"provision_token"}"#,
        r#"{"provision\\u005ftoken":"x","provision\u005etoken":1,"provision\ntoken":2}"#,
        r#"{"metrics":{"provision_token":5}}"#,
    ] {
        assert!(matches!(without_token(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn broken_objects_lose_their_token_too() {
    for text in [r#"{"provision_token":"tok"#, r#"{"a":1,"provision_token" "tok"}"#, r#"}{"provision_token":"tok"}"#] {
        assert!(!without_token(text).contains("tok\""), "{text}");
        assert!(!without_token(text).ends_with("tok"), "{text}");
    }
}

#[test]
fn scrubbing_goes_to_any_depth() {
    for (text, expected) in [
        (r#"[{"a":[{"provision_token":"x","b":1}]},{"provision_token":{}}]"#, r#"[{"a":[{"b":1}]},{}]"#),
        (r#"{"m":{"a":1,"provision_token":"x"},"provision_token":2}"#, r#"{"m":{"a":1}}"#),
        (r#"{"a":[1,2],"provision_token":2,"b":{"c":[],"provision_token":1}}"#, r#"{"a":[1,2],"b":{"c":[]}}"#),
        (r#"["provision_token"]"#, r#"["provision_token"]"#),
    ] {
        assert_eq!(scrub(text), expected, "{text}");
    }
}

#[test]
fn scrubbing_inspects_strings() {
    let inner = r#"{"a":1,"provision_token":"tok"}"#;
    let mut text = inner.to_owned();
    let mut expected = r#"{"a":1}"#.to_owned();
    for level in 0..6 {
        text = serde_json::json!({ "payload": text, "level": level }).to_string();
        expected = serde_json::json!({ "payload": expected, "level": level }).to_string();
        assert_eq!(scrub(&text), expected);
    }
    assert_eq!(scrub(r#""{\"provision_token\":\"tok\"}""#), r#""{}""#);
    assert_eq!(scrub(r#"{"{\"provision_token\":\"tok\"}":1}"#), r#"{"{}":1}"#);
    assert_eq!(scrub(r#"{"p":"{\"provision_token\":\"tok\", cut"}"#), r#"{"p":"{\"provision_token\":\"***\", cut"}"#);
    assert_eq!(scrub(r#"{"p":"provision_token=tok"}"#), r#"{"p":"provision_token=***"}"#);
    assert_eq!(scrub(r#"["\ud800 provision_token=tok"]"#), r#"["***"]"#);
}

#[test]
fn a_string_that_goes_too_deep_is_masked() {
    let mut text = r#"{"provision_token":"tok"}"#.to_owned();
    for _ in 0..12 {
        text = serde_json::to_string(&text).unwrap();
    }
    let scrubbed = scrub(&text);
    assert!(!scrubbed.contains("tok") && scrubbed.contains(MASK));
    assert!(serde_json::from_str::<String>(&scrubbed).is_ok());
}

#[test]
fn text_that_is_not_json_is_scrubbed_too() {
    assert_eq!(scrub(r#"{"provision_token":"tok","a":NaN}"#), r#"{"provision_token":"***","a":NaN}"#);
    assert_eq!(
        scrub("p\0r\0o\0v\0i\0s\0i\0o\0n\0_\0t\0o\0k\0e\0n\0=\0t\0o\0k"),
        "p\0r\0o\0v\0i\0s\0i\0o\0n\0_\0t\0o\0k\0e\0n\0=***"
    );
}

#[test]
fn deep_nesting_costs_no_stack() {
    let depth = 200_000;
    let nested = |inner: &str| format!("{}{inner}{}", r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
    let text = nested(r#"{"provision_token":"tok"}"#);
    assert_eq!(scrub(&text), nested("{}"));
    let object = format!(r#"{{"x":{text},"provision_token":1}}"#);
    assert_eq!(without_token(&object), format!(r#"{{"x":{text}}}"#));
}

#[test]
fn many_tokens_take_no_longer_than_their_text() {
    let members = r#""provision_token":1,"#.repeat(100_000);
    let text = format!(r#"{{{members}"a":"{}"}}"#, r"\u005c".repeat(100_000));
    assert_eq!(scrub(&text).len(), text.len() - members.len());
}
