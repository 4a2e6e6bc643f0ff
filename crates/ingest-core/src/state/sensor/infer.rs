//! Inference from a metric's name: unit and display name.

use super::unit;

/// `device_sensors.source` of a sensor that was found, not described.
pub const SOURCE: &str = "unmodeled";

/// What a metric's name implies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// The unit that its values seem to have.
    pub unit: Option<&'static str>,
    /// Its display name.
    pub display_name: String,
}

/// Infers a sensor from a metric's name (after the mapping).
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
    fn display_names_have_blanks_and_capitals() {
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
}
