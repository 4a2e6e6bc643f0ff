use std::borrow::Cow;

use bytes::Bytes;

use super::{Report, integral, of};
use crate::message::envelope::Envelope;
use crate::message::rejection::Reason;

fn read(text: &str) -> Report<'_> {
    Report::read(text).unwrap()
}

fn reason(text: &str) -> (Reason, String) {
    let rejection = Report::read(text).unwrap_err();
    (rejection.reason, rejection.detail.into_owned())
}

#[test]
fn the_row_keeps_everything_but_the_token() {
    for (text, row) in [
        (r#"{"provision_token":"t","a":1}"#, r#"{"metrics":{},"a":1}"#),
        (r#"{"a":1, "provision_token" : "t" }"#, r#"{"metrics":{},"a":1 }"#),
        (r#"{"a":1,"provision_token":"t","b":2}"#, r#"{"metrics":{},"a":1,"b":2}"#),
        (r#"{"provision_token":"t"}"#, r#"{"metrics":{}}"#),
        (r#"{"metrics":null,"provision_token":"t"}"#, r#"{"metrics":{}}"#),
        (r#"{"metrics":{"a":1},"metrics" : null }"#, r#"{"metrics":{"a":1},"metrics" : {} }"#),
        (" { }", r#" {"metrics":{} }"#),
        (r#"{"provision_token":{"a":[1]},"b":2}"#, r#"{"metrics":{},"b":2}"#),
    ] {
        assert_eq!(read(text).row_text(None), row, "{text}");
    }
}

#[test]
fn scattered_tokens_are_all_removed() {
    for text in [
        r#"{"provision_token":"t1","a":1,"provision_token":"t2"}"#,
        r#"{"provision\u005ftoken":"t1","a":1}"#,
        r#"{"a":1,"provision_token":"t1","provision\u005ftoken":"t2"}"#,
    ] {
        let row = read(text).row_text(None);
        let value: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!(value, serde_json::json!({"a": 1, "metrics": {}}), "{text}");
    }
}

#[test]
fn numbers_keep_their_kind_in_the_row() {
    let text = r#"{"metrics":{"a":2.4e1,"b":1E2,"c":1.25e1,"d":5e-3,"e":24}}"#;
    assert_eq!(read(text).row_text(None), r#"{"metrics":{"a":2.40e1,"b":1.000E2,"c":1.25e1,"d":5e-3,"e":24}}"#);
}

#[test]
fn the_last_of_equal_members_wins() {
    let report = read(r#"{"seq":"x","seq":2,"site_id":"a","site_id":"b","metrics":5,"metrics":{"a":1}}"#);
    assert_eq!((report.seq, report.site.as_deref(), report.metrics.len()), (2, Some("b"), 1));
}

#[test]
fn a_rejection_names_its_field() {
    assert_eq!(reason(r#"{"seq":"1"}"#), (Reason::InvalidPayload, "seq: not a 64-bit integer".into()));
    assert_eq!(reason(r#"{"seq":true}"#).0, Reason::InvalidPayload);
    assert!(reason(r#"{"site_id":7.0}"#).1.contains("site_id"));
    assert!(reason(r#"{"metrics":[]}"#).1.contains("metrics"));
    assert_eq!(reason(r#"{"version":"2"}"#).0, Reason::UnsupportedEnvelopeVersion);
    assert_eq!(reason(r#"{"version":1.0}"#).0, Reason::UnsupportedEnvelopeVersion);
}

#[test]
fn sequence_numbers_are_64_bit_integers() {
    for (raw, seq) in [("120.0", 120), ("-9223372036854775808", i64::MIN), ("1e3", 1000), ("-0.0", 0)] {
        assert_eq!(integral(raw), Some(seq), "{raw}");
    }
    for raw in ["9223372036854775808", "9223372036854775808.0", "1e19", "0.5", "1e400", "{}", "false"] {
        assert_eq!(integral(raw), None, "{raw}");
    }
}

#[test]
fn coordinates_are_taken_separately_and_in_range() {
    assert_eq!(read(r#"{"lat":1.5,"longitude":"2.5"}"#).location, Some((1.5, 2.5)));
    assert_eq!(read(r#"{"lat":1,"lng":2,"latitude":3,"longitude":4}"#).location, Some((1.0, 2.0)));
    for text in [r#"{"lat":"nan","lng":"inf"}"#, r#"{"lat":91,"lng":1}"#, r#"{"lat":1}"#, r#"{"lat":true,"lng":1}"#] {
        assert_eq!(read(text).location, None, "{text}");
    }
}

#[test]
fn a_payload_is_an_object_or_a_text_that_holds_one() {
    let of = |payload: &'static str| {
        let envelope = Envelope { payload: payload.into(), ..Envelope::default() };
        of(&envelope).map(Cow::into_owned).map_err(|rejection| rejection.reason)
    };
    assert_eq!(of("").unwrap(), "{}");
    assert_eq!(of("null").unwrap(), "{}");
    assert_eq!(of(r#""{\"a\":1}""#).unwrap(), r#"{"a":1}"#);
    for raw in ["false", "5", "[1]"] {
        assert_eq!(of(raw), Err(Reason::InvalidPayload));
    }
    assert_eq!(Report::read("[]").unwrap_err().reason, Reason::InvalidPayload);
    assert_eq!(Report::read("").unwrap_err().reason, Reason::InvalidPayload);
}

#[test]
fn what_is_no_json_is_an_invalid_payload_however_it_begins() {
    for body in ["nonsense", "{", "5"] {
        let envelope =
            Envelope { not_json: Some(Box::new(Bytes::from_static(body.as_bytes()))), ..Envelope::default() };
        assert_eq!(of(&envelope).unwrap_err().reason, Reason::InvalidPayload, "{body}");
    }
}
