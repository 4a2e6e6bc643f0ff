//! What a metric says of its sensor: the columns that `device_sensors` gets for a sensor that nobody described.

mod unit;

use std::borrow::Cow;

/// `device_sensors.source` of a sensor that was found, not described.
pub const SOURCE: &str = "unmodeled";

/// What a metric's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// The unit that its values seem to have.
    pub unit: Option<&'static str>,
    /// Its name for people.
    pub display_name: String,
}

/// What a metric's name (after the mapping) says of its sensor.
pub fn infer(metric_key: &str) -> Inferred {
    let unit = unit::of(&metric_key.to_lowercase());
    Inferred { unit, display_name: title_case(metric_key) }
}

/// `humidity_pct` as `Humidity Pct`: underscores become blanks, and every letter that follows no other is a capital.
fn title_case(key: &str) -> String {
    let mut title = String::with_capacity(key.len());
    let mut in_word = false;
    for c in key.chars() {
        let c = if c == '_' { ' ' } else { c };
        if in_word {
            title.extend(c.to_lowercase());
        } else {
            title.extend(c.to_uppercase());
        }
        in_word = c.is_alphabetic();
    }
    title
}

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
    use crate::cases;

    #[test]
    fn the_public_cases_hold() {
        let mut checked = 0;
        for case in cases::read("sensor_inference") {
            for (key, sensor) in case.alternatives()[0]["sensors"].as_object().unwrap() {
                let inferred = infer(key);
                assert_eq!(inferred.unit, sensor["unit"].as_str(), "{key}");
                assert_eq!(Some(inferred.display_name.as_str()), sensor["display_name"].as_str(), "{key}");
                assert_eq!(Some(SOURCE), sensor["source"].as_str(), "{key}");
                checked += 1;
            }
        }
        assert!(checked > 8, "only {checked} cases were found");
    }

    #[test]
    fn names_for_people_have_blanks_and_capitals() {
        for (key, name) in [
            ("temp_c", "Temp C"),
            ("CO2 ppm", "Co2 Ppm"),
            ("pm2.5x", "Pm2.5X"),
            ("__a", "  A"),
            ("größe", "Größe"),
            ("élan_éclair", "Élan Éclair"),
            ("", ""),
        ] {
            assert_eq!(infer(key).display_name, name);
        }
    }

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
