//! The values of fields, from JSON numbers.

use super::skipped::Skipped;

/// A field's value. The texts are written as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// The text of a JSON integer within i64.
    Integer(&'a str),
    /// The text of a JSON number (also an integer) that is finite as f64.
    Float(&'a str),
    /// True or false.
    Boolean(bool),
}

impl<'a> FieldValue<'a> {
    /// The value of a JSON number, from its text: an integer where it has neither fraction nor exponent, else a float.
    pub fn from_number(text: &'a str) -> Result<Self, Skipped> {
        let (mut has_point, mut has_exponent) = (false, false);
        for byte in text.bytes() {
            has_point |= byte == b'.';
            has_exponent |= matches!(byte, b'e' | b'E');
        }
        if has_point || has_exponent {
            // Without an exponent it takes 308 digits to leave f64.
            let finite = (!has_exponent && text.len() < 300) || text.parse::<f64>().is_ok_and(f64::is_finite);
            if finite { Ok(FieldValue::Float(text)) } else { Err(Skipped::NotFinite) }
        } else {
            // It takes 19 digits to leave i64.
            let fits = text.len() < 19 || text.parse::<i64>().is_ok();
            if fits { Ok(FieldValue::Integer(text)) } else { Err(Skipped::OutOfRange) }
        }
    }
}
