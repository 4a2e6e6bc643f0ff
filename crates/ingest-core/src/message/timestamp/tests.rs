use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{from_number, from_text};
use crate::cases;

/// What another implementation makes of RFC 3339 text.
fn rfc3339(text: &str) -> i64 {
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos();
    i64::try_from(nanoseconds.div_euclid(1000)).unwrap()
}

#[test]
fn the_public_cases_hold() {
    let mut checked = 0;
    for case in ["parse_ts", "time"].into_iter().flat_map(cases::read) {
        let payload = case.payload();
        let found = match payload.get("ts") {
            Some(serde_json::Value::String(text)) => from_text(text),
            Some(serde_json::Value::Number(number)) => from_number(&number.to_string()),
            _ => None,
        };
        let holds = case.alternatives().iter().any(|expect| match expect["event_ts"].as_str() {
            Some("broker") => found.is_none(),
            Some(text) => found == Some(rfc3339(text)),
            None => panic!("{} expects no event time", case.id()),
        });
        assert!(holds, "{}: {found:?}", case.id());
        checked += 1;
    }
    assert!(checked > 25, "only {checked} cases were found");
}

#[test]
fn every_form_of_one_instant_is_the_same_instant() {
    let expected = rfc3339("2026-02-09T09:15:23.045Z");
    for text in [
        "2026-02-09T09:15:23.045Z",
        "2026-02-09t09:15:23.045z",
        "2026-02-09T09:15:23.045",
        "2026-02-09 09:15:23.045",
        "2026-02-09T09:15:23,045Z",
        "2026-02-09T09:15:23.045000999Z",
        "2026-02-09T11:15:23.045+02:00",
        "2026-02-09T11:15:23.045+0200",
        "2026-02-09T11:15:23.045+02",
        "2026-02-08T23:45:23.045-09:30",
        "20260209T091523.045Z",
        "20260209T09:15:23.045Z",
        "2026-02-09T091523.045+00:00",
        "2026-W07-1T09:15:23.045",
        "2026W071T091523.045",
        "2026-040T09:15:23.045Z",
        "2026040 091523.045Z",
    ] {
        assert_eq!(from_text(text), Some(expected), "{text}");
    }
}

#[test]
fn a_missing_part_is_its_first_value() {
    for (text, expected) in [
        ("2026", "2026-01-01T00:00:00Z"),
        ("2026-02", "2026-02-01T00:00:00Z"),
        ("2026-02-09", "2026-02-09T00:00:00Z"),
        ("2026-W07", "2026-02-09T00:00:00Z"),
        ("2026W07", "2026-02-09T00:00:00Z"),
        ("2020-W53-5", "2021-01-01T00:00:00Z"),
        ("2026-01-01T00:00Z", "2026-01-01T00:00:00Z"),
        ("2024-366", "2024-12-31T00:00:00Z"),
        ("2026-02-09T09", "2026-02-09T09:00:00Z"),
        ("2026-02-09T09Z", "2026-02-09T09:00:00Z"),
        ("2026-02-09T0915-01", "2026-02-09T10:15:00Z"),
        ("2026-12-31T24:00", "2027-01-01T00:00:00Z"),
        ("2026-12-31T24:00:00.000Z", "2027-01-01T00:00:00Z"),
        ("2026-12-31T24", "2027-01-01T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
    ] {
        assert_eq!(from_text(text), Some(rfc3339(expected)), "{text}");
    }
}

#[test]
fn text_without_an_instant_is_none() {
    for text in [
        "",
        " ",
        "T",
        "1770628523",
        "1770628523045",
        "1770628523.045",
        "12",
        "202",
        "202602",
        "2026-2-9",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2025-366",
        "2025-000",
        "2026-W00",
        "2026-W54",
        "2026-W07-8",
        "2026-W07-0",
        "2026-00-01",
        "2026-01-00",
        "0000-01-01",
        "2026-02-09T",
        "2026-02-09T9:15",
        "2026-02-09T09:1",
        "2026-02-09T09:15:2",
        "2026-02-09T09:15:60Z",
        "2026-02-09T09:60Z",
        "2026-02-09T25Z",
        "2026-02-09T24:00:01Z",
        "2026-02-09T24:00:00.000001Z",
        "2026-02-09T24:01",
        "2026-02-09T09:15:23.Z",
        "2026-02-09T09:15:23.045 Z",
        "2026-02-09T09:15:23+24:00",
        "2026-02-09T09:15:23+01:60",
        "2026-02-09T09:15:23+1",
        "2026-02-09T09:15:23+1:00",
        "2026-02-09T09:15:23ZZ",
        "2026-02-09T09:1523",
        "2026-02-09T0915:23",
        "2026-02-09T09.5",
        "2026-02-09T09:15.5",
        "2026-02-09_09:15:23Z",
        "2026-02-09Z",
        "2026-02-09T09:15:23Z ",
        " 2026-02-09T09:15:23Z",
        "2026-0209",
        "202602-09",
        "2026T10:00",
        "2026-02T10:00",
        "2026-W07T10:00",
        "2026/02/09",
        "+2026-02-09",
        "２０２６-02-09",
        "9999-12-31T24:00",
        "9999-12-31T23:59:59.999999-00:01",
        "0001-01-01T00:00:00+00:01",
        "not-a-date",
        "Mon, 09 Feb 2026 09:15:23 GMT",
        "2026-02-09T09:15:23.045\u{0}",
        "2026-02-09T09:15:23é",
    ] {
        assert_eq!(from_text(text), None, "{text:?}");
    }
}
