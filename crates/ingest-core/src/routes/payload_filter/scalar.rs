//! JSON scalars as conditions see them: as numbers and as text.

use std::borrow::Cow;

/// A JSON value as a number.
pub(super) fn number(json: &str) -> Option<f64> {
    match json.as_bytes().first()? {
        b't' => Some(1.0),
        b'f' => Some(0.0),
        b'"' => serde_json::from_str::<Cow<'_, str>>(json).ok()?.trim().parse().ok(),
        b'{' | b'[' | b'n' => None,
        _ => json.parse().ok(),
    }
}

/// A JSON scalar as text.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b't' => Some("True".into()),
        b'f' => Some("False".into()),
        b'n' => Some("None".into()),
        b'"' => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
        b'{' | b'[' => None,
        _ if json == "-0" => Some("0".into()),
        _ if json.contains(['.', 'e', 'E']) => Some(float_text(json.parse().ok()?).into()),
        _ => Some(json.into()),
    }
}

/// The shortest text of a float, with an exponent from 1e16 on and below 1e-4: `85.0`, `1e+16`, `1e-05`.
fn float_text(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 { "inf".into() } else { "-inf".into() };
    }
    // Debug chooses the exponent as wanted, but writes it as `1e16` and `1e-5`.
    let text = format!("{float:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => text,
    }
}
