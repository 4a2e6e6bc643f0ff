//! JSON whose numbers are compared exactly, integers and floats being different kinds.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// A JSON value; equal keys of an object: the last wins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Exact {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Exact>),
    Object(BTreeMap<String, Exact>),
}

/// `digits` times ten to the `exponent`, without zeros at either end of the digits; zero has no digits and no sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    float: bool,
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Exact {
    /// Reads JSON text.
    pub(super) fn parse(json: &str) -> serde_json::Result<Self> {
        let raw: &RawValue = serde_json::from_str(json)?;
        let json = raw.get().trim();
        Ok(match json.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json)?;
                let members = members.into_iter().map(|(key, value)| Ok((key, Self::parse(value.get())?)));
                Self::Object(members.collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(json)?;
                let items = items.iter().map(|item| Self::parse(item.get()));
                Self::List(items.collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(json)?),
            Some(b't' | b'f') => Self::Boolean(serde_json::from_str(json)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(Number::parse(json)),
        })
    }
}

impl Number {
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let exponent: i64 = exponent.trim_start_matches('+').parse().expect("an exponent");
        let exponent = exponent - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
        let significant = significant.trim_start_matches('0');
        let zero = significant.is_empty();
        Self {
            float: text.contains(['.', 'e', 'E']),
            negative: negative && !zero,
            digits: significant.to_owned(),
            exponent: if zero { 0 } else { exponent },
        }
    }
}

#[test]
fn numbers_are_equal_by_value_and_kind_only() {
    let equal = |a, b| Exact::parse(a).unwrap() == Exact::parse(b).unwrap();
    assert!(equal("1e21", "1000000000000000000000.0"));
    assert!(equal("0.0000001", "1e-7"));
    assert!(equal("-0.0", "0.0"));
    assert!(equal("2.4e1", "24.0"));
    assert!(equal(r#"{"a":1,"b":[1,2],"a":3}"#, r#"{"b":[1,2],"a":3}"#));
    assert!(!equal("24", "24.0"));
    assert!(!equal("9223372036854775807", "9223372036854775808"));
    assert!(!equal("1", "10"));
    assert!(!equal("1.5", "-1.5"));
    assert!(!equal("[1,2]", "[2,1]"));
}
