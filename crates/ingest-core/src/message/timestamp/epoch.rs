//! Epoch numbers, computed in decimal.

use super::calendar::in_range;

/// The text of a JSON number, as Unix microseconds. Its size determines its unit: below 1e11 seconds, below 1e14
/// milliseconds, below 1e17 microseconds, else nanoseconds (the sign does not matter).
///
/// Computed in decimal, so `1770628523.045` is exactly 45 ms past the second; what lies below the microsecond is cut
/// off towards the past, as in text. `None`: not a JSON number, or an instant outside the years 1 to 9999 (UTC).
pub fn from_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let decimal = Decimal::parse(digits)?;
    let whole = decimal.scaled(0)?.0;
    // Microseconds = number * 10^shift.
    let shift = match whole {
        0..100_000_000_000 => 6,
        100_000_000_000..100_000_000_000_000 => 3,
        100_000_000_000_000..100_000_000_000_000_000 => 0,
        _ => -3,
    };
    let (microseconds, exact) = decimal.scaled(shift)?;
    let microseconds = i64::try_from(microseconds).ok()?;
    in_range(match (negative, exact) {
        (false, _) => microseconds,
        (true, true) => -microseconds,
        (true, false) => -microseconds - 1,
    })
}

/// A JSON number without its sign: the value is `0.d1d2d3... * 10^point`.
struct Decimal<'a> {
    /// Digits before and after the decimal point. Together they have no meaningless zeros in front.
    whole: &'a [u8],
    fraction: &'a [u8],
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Digits that a time in any unit can have before its decimal point (year 9999 in nanoseconds has 21).
    const MAX_DIGITS: i64 = 21;

    fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (whole, rest) = split_digits(bytes);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => split_digits(rest),
            None => (&[][..], rest),
        };
        if fraction.is_empty() && bytes.get(whole.len()) == Some(&b'.') {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', exponent @ ..] => parse_exponent(exponent)?,
            _ => return None,
        };
        // 0.00x: the zeros behind the point only move it.
        if whole == b"0" {
            let zeros = fraction.iter().take_while(|b| **b == b'0').count();
            let point = exponent.saturating_sub(i64::try_from(zeros).ok()?);
            return Some(Self { whole: &[], fraction: &fraction[zeros..], point });
        }
        let point = exponent.saturating_add(i64::try_from(whole.len()).ok()?);
        Some(Self { whole, fraction, point })
    }

    /// The whole part of value * 10^shift, and whether nothing was cut off. `None` when it is beyond any time.
    fn scaled(&self, shift: i64) -> Option<(u128, bool)> {
        let mut digits = self.whole.iter().chain(self.fraction).map(|b| u128::from(b - b'0'));
        let length = self.point.saturating_add(shift);
        if length > Self::MAX_DIGITS && self.whole.len() + self.fraction.len() > 0 {
            return None;
        }
        let mut value = 0;
        for _ in 0..length.min(Self::MAX_DIGITS) {
            value = value * 10 + digits.next().unwrap_or(0);
        }
        Some((value, digits.all(|digit| digit == 0)))
    }
}

/// The digits at the beginning, and what follows them.
fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|b| b.is_ascii_digit()).count())
}

/// What follows the `e`; exponents beyond any meaning are bounded, not rejected.
fn parse_exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (number, rest) = split_digits(digits);
    if number.is_empty() || !rest.is_empty() {
        return None;
    }
    let value = number.iter().fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000_000));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_determines_its_unit() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("0e999999999999", 0),
            ("1", 1_000_000),
            ("99999999999", 99_999_999_999_000_000),
            ("100000000000", 100_000_000_000_000),
            ("99999999999999", 99_999_999_999_999_000),
            ("100000000000000", 100_000_000_000_000),
            ("99999999999999999", 99_999_999_999_999_999),
            ("100000000000000000", 100_000_000_000_000),
            ("1770628523", 1_770_628_523_000_000),
            ("1770628523.0", 1_770_628_523_000_000),
            ("1770628523045", 1_770_628_523_045_000),
            ("1770628523045123", 1_770_628_523_045_123),
            ("1770628523045123999", 1_770_628_523_045_123),
            ("-1.5", -1_500_000),
            ("-1770628523045", -1_770_628_523_045_000),
        ] {
            assert_eq!(from_number(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_number_is_read_in_decimal() {
        for (text, expected) in [
            ("1770628523.045", 1_770_628_523_045_000),
            ("1770628523.0450009", 1_770_628_523_045_000),
            ("1770628523.04500000000000000000000000000000000000000000000009", 1_770_628_523_045_000),
            ("1.770628523045e9", 1_770_628_523_045_000),
            ("1.770628523045E+12", 1_770_628_523_045_000),
            ("17706285230450e-4", 1_770_628_523_045_000),
            ("0.000001770628523045e15", 1_770_628_523_045_000),
            ("1770628523045.5", 1_770_628_523_045_500),
            ("0.0000019", 1),
            ("-0.0000001", -1),
            ("-0.0000010", -1),
        ] {
            assert_eq!(from_number(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn numbers_without_an_instant_are_none() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e5x",
            "0x10",
            "NaN",
            "Infinity",
            "1 ",
            " 1",
            "1_000",
            "1e400",
            "-1e99999999999999999999",
            "253402300800000000000",
            "-99999999999",
            "1e30",
        ] {
            assert_eq!(from_number(text), None, "{text:?}");
        }
    }
}
