//! The unit that a metric's name states or lets one assume.
//!
//! A name states its unit by ending with it: `energy_kwh`, `flow_l_per_min`, `air_temp_c_2`. Symbols are those of UCUM and
//! SenML (RFC 8428) as people write them. Names are not told apart by case, so a prefix `m` is the usual one of its unit:
//! mega for W, Wh, VA, J, Hz and Pa, milli for all others. Units that the platform leaves empty stay so (`_ppm`, `_db`,
//! `_kg`, `_g`, `_rpm`): its own rules tell such sensors by their names.

/// Units of two words, `per` left out.
const RATIOS: [(&str, &str); 18] = [
    ("g_m3", "g/m³"),
    ("km_h", "km/h"),
    ("kwh_m2", "kWh/m²"),
    ("l_h", "L/h"),
    ("l_min", "L/min"),
    ("l_s", "L/s"),
    ("m3_h", "m³/h"),
    ("m3_s", "m³/s"),
    ("m_s", "m/s"),
    ("m_s2", "m/s²"),
    ("mg_l", "mg/L"),
    ("mg_m3", "mg/m³"),
    ("mm_h", "mm/h"),
    ("mm_s", "mm/s"),
    ("ug_m3", "µg/m³"),
    ("us_cm", "µS/cm"),
    ("w_m2", "W/m²"),
    ("ms_cm", "mS/cm"),
];

/// Units of one word that can hardly mean anything else.
const WORDS: [(&str, &str); 66] = [
    ("ah", "Ah"),
    ("bar", "bar"),
    ("cm", "cm"),
    ("dbm", "dBm"),
    ("degc", "°C"),
    ("degf", "°F"),
    ("ghz", "GHz"),
    ("gpm", "gal/min"),
    ("gw", "GW"),
    ("gwh", "GWh"),
    ("hpa", "hPa"),
    ("hz", "Hz"),
    ("ka", "kA"),
    ("khz", "kHz"),
    ("kj", "kJ"),
    ("km", "km"),
    ("kmh", "km/h"),
    ("kn", "kN"),
    ("kohm", "kΩ"),
    ("kpa", "kPa"),
    ("kph", "km/h"),
    ("kv", "kV"),
    ("kva", "kVA"),
    ("kvah", "kVAh"),
    ("kvar", "kvar"),
    ("kvarh", "kvarh"),
    ("kw", "kW"),
    ("kwh", "kWh"),
    ("lpm", "L/min"),
    ("lux", "lx"),
    ("lx", "lx"),
    ("m2", "m²"),
    ("m3", "m³"),
    ("ma", "mA"),
    ("mah", "mAh"),
    ("mbar", "mbar"),
    ("mhz", "MHz"),
    ("mj", "MJ"),
    ("ml", "mL"),
    ("mm", "mm"),
    ("mpa", "MPa"),
    ("mph", "mi/h"),
    ("mps", "m/s"),
    ("ms", "ms"),
    ("mv", "mV"),
    ("mva", "MVA"),
    ("mvar", "Mvar"),
    ("mw", "MW"),
    ("mwh", "MWh"),
    ("nm", "nm"),
    ("nt", "nT"),
    ("ntu", "NTU"),
    ("ohm", "Ω"),
    ("pa", "Pa"),
    ("ph", "pH"),
    ("psi", "psi"),
    ("sec", "s"),
    ("ua", "µA"),
    ("us", "µs"),
    ("uv", "µV"),
    ("va", "VA"),
    ("vah", "VAh"),
    ("var", "var"),
    ("varh", "varh"),
    ("wh", "Wh"),
    ("watts", "W"),
];

/// Units of one letter: also the names of phases, zones and channels, so a quantity in the name comes first.
const LETTERS: [(&str, &str); 8] =
    [("a", "A"), ("h", "h"), ("j", "J"), ("l", "L"), ("m", "m"), ("s", "s"), ("v", "V"), ("w", "W")];

/// Words that may follow a unit, as numbers may.
const AFTER_UNIT: [&str; 9] = ["min", "max", "avg", "mean", "sum", "total", "peak", "last", "now"];

/// Where a clue stands in a name.
#[derive(Clone, Copy)]
enum Clue {
    /// Anywhere.
    Part(&'static str),
    /// As a word that no letter follows: `_c` in `temp_c` and `temp_c_2`, not in `error_count`.
    Word(&'static str),
}

/// Units stated anywhere in the name.
const STATED: [(Clue, &str); 6] = [
    (Clue::Part("pct"), "%"),
    (Clue::Part("percent"), "%"),
    (Clue::Part("celsius"), "°C"),
    (Clue::Word("_c"), "°C"),
    (Clue::Part("fahrenheit"), "°F"),
    (Clue::Word("_f"), "°F"),
];

/// Quantities, whose usual unit is assumed.
const QUANTITIES: [(Clue, &str); 9] = [
    (Clue::Part("volt"), "V"),
    (Clue::Part("amp"), "A"),
    (Clue::Part("current"), "A"),
    (Clue::Part("temp"), "°C"),
    (Clue::Part("humid"), "%RH"),
    (Clue::Part("press"), "hPa"),
    (Clue::Part("vibrat"), "mm/s"),
    (Clue::Part("flow"), "L/min"),
    (Clue::Part("level"), "%"),
];

/// A battery's power is no percentage.
const NOT_BATTERY: [&str; 3] = ["power", "kw", "watt"];

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

/// The unit of a lower-case name: a stated one before that of a stated quantity.
pub(super) fn of(name: &str) -> Option<&'static str> {
    let by_clue =
        |clues: &[(Clue, &'static str)]| clues.iter().find(|(clue, _)| clue.fits(name)).map(|(_, unit)| *unit);
    let all: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|word| *word != "per").collect();
    // `min` may be a part of the unit.
    let all = without_last(&all, &[]);
    let words = without_last(all, &AFTER_UNIT);
    by_clue(&STATED)
        .or_else(|| ratio(all).or_else(|| ratio(words)))
        .or_else(|| last(&WORDS, words))
        .or_else(|| by_clue(&QUANTITIES))
        .or_else(|| last(&LETTERS, words))
        .or_else(|| (name.contains("batt") && !NOT_BATTERY.iter().any(|part| name.contains(part))).then_some("%"))
}

/// The words without numbers and such words at their end.
fn without_last<'a, 'b>(words: &'a [&'b str], more: &[&str]) -> &'a [&'b str] {
    let goes = |word: &&str| more.contains(word) || word.bytes().all(|byte| byte.is_ascii_digit());
    let kept = words.len() - words.iter().rev().take_while(|word| goes(word)).count();
    &words[..kept]
}

/// The first word names the quantity.
fn last(units: &[(&str, &'static str)], words: &[&str]) -> Option<&'static str> {
    let [_, .., word] = words else { return None };
    units.iter().find(|(name, _)| name == word).map(|(_, unit)| *unit)
}

fn ratio(words: &[&str]) -> Option<&'static str> {
    let [_, .., above, below] = words else { return None };
    let is_it = |name: &str| name.split_once('_') == Some((*above, *below));
    RATIOS.iter().find(|(name, _)| is_it(name)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_unit_comes_before_the_usual_one() {
        for (key, unit) in [
            ("temp", Some("°C")),
            ("temp_f", Some("°F")),
            ("air_temp_c_2", Some("°C")),
            ("humidity", Some("%RH")),
            ("humidity_pct", Some("%")),
            ("pressure", Some("hPa")),
            ("pressure_psi", Some("psi")),
            ("pressure_kpa", Some("kPa")),
            ("pressure_bar_avg", Some("bar")),
            ("vibration", Some("mm/s")),
            ("vibration_g", Some("mm/s")),
            ("water_flow", Some("L/min")),
            ("tank_level", Some("%")),
            ("tank_level_mm", Some("mm")),
            ("battery", Some("%")),
            ("battery_volts", Some("V")),
            ("battery_v", Some("V")),
            ("battery_mv", Some("mV")),
            ("battery_power", None),
            ("motor_kw", Some("kW")),
            ("motor_power", None),
            ("motor_power_w", Some("W")),
            ("current_draw", Some("A")),
            ("current_ma", Some("mA")),
            ("rssi_dbm", Some("dBm")),
            ("voltage_phase_a", Some("V")),
            ("temp_zone_a", Some("°C")),
            ("zone_a_snr_db", None),
            ("error_count", None),
            ("door_closed", None),
            ("w", None),
            ("", None),
        ] {
            assert_eq!(of(key), unit, "{key}");
        }
    }

    #[test]
    fn energy_is_in_kilowatt_hours_and_power_in_kilowatts() {
        for (key, unit) in [
            ("energy_kwh", "kWh"),
            ("energy_kwh_total", "kWh"),
            ("energy_wh", "Wh"),
            ("grid_mwh", "MWh"),
            ("reactive_kvar", "kvar"),
            ("reactive_kvarh", "kvarh"),
            ("apparent_kva", "kVA"),
            ("plant_mw", "MW"),
            ("mains_hz", "Hz"),
            ("light_lux", "lx"),
            ("flow_l_per_min", "L/min"),
            ("pump_l_min_2", "L/min"),
            ("flow_m3_per_h", "m³/h"),
            ("wind_m_s", "m/s"),
            ("speed_km_per_h", "km/h"),
            ("pm25_ug_m3", "µg/m³"),
            ("irradiance_w_per_m2", "W/m²"),
            ("energy_kwh_per_m2", "kWh/m²"),
        ] {
            assert_eq!(of(key), Some(unit), "{key}");
        }
    }

    #[test]
    fn what_the_platform_leaves_empty_stays_so() {
        for key in ["co2_ppm", "snr_db", "weight_kg", "motor_rpm", "dose_g"] {
            assert_eq!(of(key), None, "{key}");
        }
    }
}
