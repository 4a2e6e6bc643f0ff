//! Units: the one that a metric's name states or implies.
//!
//! A name states its unit by ending with it: `energy_kwh`, `flow_l_per_min`, `air_temp_c_2`. Symbols are those of UCUM and
//! SenML (RFC 8428) as people write them. Names are compared without case, so a prefix `m` is the usual one of its unit:
//! mega for W, Wh, VA, J, Hz and Pa, milli for all others. Units that the platform leaves empty are not inferred
//! (`_ppm`, `_db`, `_kg`, `_g`, `_rpm`): its own rules recognise such sensors by their names.

use super::unit_tables::{AFTER_UNIT, Clue, LETTERS, NOT_BATTERY, QUANTITIES, RATIOS, STATED, WORDS};

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
