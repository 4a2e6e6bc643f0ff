//! A sensor's last value, as its two columns hold it.

use std::borrow::Cow;

/// A sensor's last value: one of the columns `last_value` (numeric) and `last_value_text`, the other is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastValue<'a> {
    /// The text of a number: a JSON number as written, `true` as 1, `false` as 0.
    Number(&'a str),
    /// A string's content, `None` for null (as the platform always wrote it), else the JSON text.
    Text(Cow<'a, str>),
}

impl<'a> LastValue<'a> {
    /// From a metric's JSON text.
    pub fn from_json(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b't') => LastValue::Number("1"),
            Some(b'f') => LastValue::Number("0"),
            Some(b'-' | b'0'..=b'9') => LastValue::Number(json),
            Some(b'n') => LastValue::Text("None".into()),
            Some(b'"') => LastValue::Text(serde_json::from_str(json).map_or(json.into(), Cow::Owned)),
            _ => LastValue::Text(json.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_value_is_a_number_or_a_text() {
        for (json, value) in [
            ("1.50", LastValue::Number("1.50")),
            ("-85", LastValue::Number("-85")),
            ("98765432109876543210", LastValue::Number("98765432109876543210")),
            ("true", LastValue::Number("1")),
            ("false", LastValue::Number("0")),
            (r#""12""#, LastValue::Text("12".into())),
            (r#""gr\u00fcn \"x\"""#, LastValue::Text("grün \"x\"".into())),
            ("null", LastValue::Text("None".into())),
            ("[1, 2]", LastValue::Text("[1, 2]".into())),
            (r#"{"a":1}"#, LastValue::Text(r#"{"a":1}"#.into())),
        ] {
            assert_eq!(LastValue::from_json(json), value, "{json}");
        }
    }
}
