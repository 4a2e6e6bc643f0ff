//! The units that names state, and the usual units of quantities.

/// Units of two words, `per` left out.
pub(super) const RATIOS: [(&str, &str); 18] = [
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
pub(super) const WORDS: [(&str, &str); 66] = [
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

/// Units of one character: also the names of phases, zones and channels, so a quantity in the name comes first.
pub(super) const LETTERS: [(&str, &str); 8] =
    [("a", "A"), ("h", "h"), ("j", "J"), ("l", "L"), ("m", "m"), ("s", "s"), ("v", "V"), ("w", "W")];

/// Words that may follow a unit, as numbers may.
pub(super) const AFTER_UNIT: [&str; 9] = ["min", "max", "avg", "mean", "sum", "total", "peak", "last", "now"];

/// A part of a name that states a unit.
#[derive(Clone, Copy)]
pub(super) enum Clue {
    /// Anywhere.
    Part(&'static str),
    /// As a word that nothing alphabetic follows: `_c` in `temp_c` and `temp_c_2`, not in `error_count`.
    Word(&'static str),
}

/// Units stated anywhere in the name.
pub(super) const STATED: [(Clue, &str); 6] = [
    (Clue::Part("pct"), "%"),
    (Clue::Part("percent"), "%"),
    (Clue::Part("celsius"), "°C"),
    (Clue::Word("_c"), "°C"),
    (Clue::Part("fahrenheit"), "°F"),
    (Clue::Word("_f"), "°F"),
];

/// Quantities, whose usual unit is assumed.
pub(super) const QUANTITIES: [(Clue, &str); 9] = [
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
pub(super) const NOT_BATTERY: [&str; 3] = ["power", "kw", "watt"];

impl Clue {
    /// Whether a lower-case name holds it.
    pub(super) fn fits(self, name: &str) -> bool {
        match self {
            Clue::Part(part) => name.contains(part),
            Clue::Word(word) => name.match_indices(word).any(|(at, _)| {
                let after = name[at + word.len()..].chars().next();
                !after.is_some_and(char::is_alphabetic)
            }),
        }
    }
}
