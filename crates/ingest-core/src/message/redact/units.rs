//! Unescaping: the characters that bytes spell with escapes, each with the position where its spelling begins.

use std::borrow::Cow;

use super::token::TOKEN_KEY;

/// Bytes without their escapes: one unit per character.
pub(super) struct Units<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The characters; what is not ASCII is some byte above.
    pub text: Vec<u8>,
    /// Where each begins, and at the end the length of the bytes.
    pub starts: Vec<usize>,
    /// Whether zero bytes were skipped.
    pub has_zero_bytes: bool,
}

impl<'a> Units<'a> {
    /// Reads bytes.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut units = Self {
            bytes,
            text: Vec::with_capacity(bytes.len()),
            starts: Vec::with_capacity(bytes.len() + 1),
            has_zero_bytes: bytes.contains(&0),
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            units.starts.push(bytes.len() - rest.len());
            let (unit, after) = first_unit(rest);
            units.text.push(unit);
            rest = after;
        }
        units.starts.push(bytes.len());
        units
    }

    /// The unit behind the next key.
    pub(super) fn after_key(&self, from: usize) -> Option<usize> {
        Some(from + find_key(self.text.get(from..)?)? + TOKEN_KEY.len())
    }

    /// The first unit from `from` on that is none of those that `skips` names.
    pub(super) fn skip(&self, from: usize, skips: impl Fn(u8) -> bool) -> usize {
        from + self.text.iter().skip(from).take_while(|unit| skips(**unit)).count()
    }
}

/// The characters alone; without escapes they are the bytes.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().any(|byte| matches!(byte, b'\\' | b'%' | 0)) {
        Cow::Owned(Units::of(bytes).text)
    } else {
        Cow::Borrowed(bytes)
    }
}

/// Whether characters spell the key.
pub(super) fn holds_key(text: &[u8]) -> bool {
    find_key(text).is_some()
}

/// Whether anything in the bytes spells the key.
pub(super) fn spells_key(bytes: &[u8]) -> bool {
    holds_key(&text_of(bytes))
}

fn find_key(text: &[u8]) -> Option<usize> {
    let key = TOKEN_KEY.as_bytes();
    text.windows(key.len()).position(|window| window.first() == key.first() && window == key)
}

/// The value of `DIGITS` hexadecimal digits at the beginning, and what follows them.
fn hex<const DIGITS: usize>(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<DIGITS>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?;
    }
    Some((unit, rest))
}

/// Four hexadecimal digits at the beginning, and what follows them.
pub(super) fn hex_unit(bytes: &[u8]) -> Option<(u16, &[u8])> {
    hex::<4>(bytes)
}

/// The character that the bytes begin with, and what follows it: `\u` and `\x` escapes and percent-encoding are
/// resolved. Backslashes and zero bytes belong to what they stand before; a backslash may itself be spelled `\u005c`, and
/// a percent sign `%25`, any number of times.
fn first_unit(bytes: &[u8]) -> (u8, &[u8]) {
    let mut rest = bytes;
    let mut is_escaped = false;
    loop {
        match rest {
            [] => return (b'\\', rest),
            [0, after @ ..] => rest = after,
            [b'\\', after @ ..] => {
                is_escaped = true;
                rest = after;
            }
            [b'u', after @ ..] if is_escaped => match hex_unit(after) {
                Some((0x5C, after)) => rest = after,
                Some((unit, after)) => return (u8::try_from(unit).unwrap_or(0xFF), after),
                None => return (b'u', after),
            },
            [b'x', after @ ..] if is_escaped => match hex::<2>(after) {
                Some((unit, after)) => return (u8::try_from(unit).unwrap_or(0xFF), after),
                None => return (b'x', after),
            },
            [b'n' | b'r' | b't', after @ ..] if is_escaped => return (b' ', after),
            [b'%', after @ ..] => return percent_unit(after),
            [byte, after @ ..] => return (*byte, after),
        }
    }
}

/// The character of a percent-encoded byte, and what follows it.
fn percent_unit(after_sign: &[u8]) -> (u8, &[u8]) {
    let mut rest = after_sign;
    while let [b'2', b'5', after @ ..] = rest {
        rest = after;
    }
    match hex::<2>(rest) {
        Some((unit, after)) => (u8::try_from(unit).unwrap_or(0xFF), after),
        None => (b'%', after_sign),
    }
}
