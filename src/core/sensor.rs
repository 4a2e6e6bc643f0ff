//! What a metric says of its sensor: the columns that `device_sensors` gets for a sensor that nobody described.

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

/// Where a clue stands in a name.
#[derive(Clone, Copy)]
enum Clue {
    /// Anywhere.
    Part(&'static str),
    /// As a word that no letter follows: `_c` in `temp_c` and `temp_c_2`, not in `error_count`.
    Word(&'static str),
}

/// Units by clues in the lower-case name; the first that fits decides. A name that states its unit comes before one
/// that states a quantity, whose usual unit is assumed.
const UNITS: [(Clue, Option<&str>); 20] = [
    (Clue::Part("pct"), Some("%")),
    (Clue::Part("percent"), Some("%")),
    (Clue::Part("celsius"), Some("°C")),
    (Clue::Word("_c"), Some("°C")),
    (Clue::Part("fahrenheit"), Some("°F")),
    (Clue::Word("_f"), Some("°F")),
    (Clue::Word("_kw"), Some("kW")),
    (Clue::Part("volt"), Some("V")),
    (Clue::Part("amp"), Some("A")),
    (Clue::Part("current"), Some("A")),
    (Clue::Part("temp"), Some("°C")),
    (Clue::Part("humid"), Some("%RH")),
    (Clue::Part("press"), Some("hPa")),
    (Clue::Part("vibrat"), Some("mm/s")),
    (Clue::Part("flow"), Some("L/min")),
    (Clue::Part("level"), Some("%")),
    // A battery's power is no percentage.
    (Clue::Part("power"), None),
    (Clue::Part("kw"), None),
    (Clue::Part("watt"), None),
    (Clue::Part("batt"), Some("%")),
];

impl Clue {
    fn fits(self, name: &str) -> bool {
        match self {
            Clue::Part(part) => name.contains(part),
            Clue::Word(word) => name.match_indices(word).any(|(at, _)| {
                let after = name[at + word.len()..].chars().next();
                !after.is_some_and(char::is_alphabetic)
            }),
        }
    }
}

/// What a metric's name (after the mapping) says of its sensor.
pub fn infer(metric_key: &str) -> Inferred {
    let name = metric_key.to_lowercase();
    let unit = UNITS.iter().find(|(clue, _)| clue.fits(&name)).and_then(|(_, unit)| *unit);
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
    fn a_stated_unit_comes_before_the_usual_one() {
        for (key, unit) in [
            ("temp", Some("°C")),
            ("temp_f", Some("°F")),
            ("TEMP_F", Some("°F")),
            ("air_temp_c_2", Some("°C")),
            ("humidity", Some("%RH")),
            ("humidity_pct", Some("%")),
            ("pressure_psi", Some("hPa")),
            ("vibration", Some("mm/s")),
            ("water_flow", Some("L/min")),
            ("tank_level", Some("%")),
            ("battery", Some("%")),
            ("battery_volts", Some("V")),
            ("battery_power", None),
            ("motor_kw", Some("kW")),
            ("motor_power", None),
            ("current_draw", Some("A")),
            ("error_count", None),
            ("door_closed", None),
            ("rssi_dbm", None),
            ("", None),
        ] {
            assert_eq!(infer(key).unit, unit, "{key}");
        }
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
