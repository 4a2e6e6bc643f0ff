//! Forms of values that people write out of habit, brought into the one that is read.

use toml::Value;

use crate::runtime::value_type::ValueType;

/// A variable's text as a value; `None` where it has no accepted form.
pub(super) fn parse(value_type: ValueType, text: &str) -> Option<Value> {
    value_type.parse(&usual(value_type, text).unwrap_or_else(|| text.to_owned()))
}

/// A value of the file in its usual form; `None` where that is not accepted.
pub(super) fn accept(value_type: ValueType, value: Value) -> Option<Value> {
    let value = match value.as_str().and_then(|text| usual(value_type, text)) {
        Some(text) => Value::String(text),
        None => value,
    };
    value_type.accepts(&value).then_some(value)
}

/// The usual form of a text that has another one: `:8080` and `*:8080` are every address, `localhost:8080` is 127.0.0.1;
/// `fatal` is what the log calls its highest level.
fn usual(value_type: ValueType, text: &str) -> Option<String> {
    let text = text.trim();
    match value_type {
        ValueType::Address => {
            let (host, port) = text.rsplit_once(':')?;
            let address = match host.to_ascii_lowercase().as_str() {
                "" | "*" => "0.0.0.0",
                "localhost" => "127.0.0.1",
                _ => return None,
            };
            Some(format!("{address}:{port}"))
        }
        ValueType::Level => text.eq_ignore_ascii_case("fatal").then(|| "critical".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_understood_in_both_sources() {
        for (text, address) in [
            (":8080", Some("0.0.0.0:8080")),
            ("*:8080", Some("0.0.0.0:8080")),
            ("localhost:8080", Some("127.0.0.1:8080")),
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("[::1]:1", Some("[::1]:1")),
            (":80800", None),
            ("nowhere", None),
            ("example.org:8080", None),
            ("8080", None),
        ] {
            let expected = address.map(Value::from);
            assert_eq!(parse(ValueType::Address, text), expected, "{text}");
            assert_eq!(accept(ValueType::Address, text.into()), expected, "{text}");
        }
        for (word, is_level) in [("FATAL", true), ("warn", true), ("warning", true), ("error", true), ("loud", false)] {
            assert_eq!(parse(ValueType::Level, word).is_some(), is_level, "{word}");
        }
        assert_eq!(accept(ValueType::Address, 8080.into()), None);
    }
}
