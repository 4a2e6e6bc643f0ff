//! Decoders of the encodings that are text: base64, hexadecimal, lists of byte values, characters that are bytes.
//!
//! They accept what decoders of other crates reject: either alphabet, no or wrong padding, anything left over at the end.

use super::super::token::TOKEN_KEY;

/// Fewer bytes can't hold the key.
pub(super) const MIN_BYTES: usize = TOKEN_KEY.len();

/// Whether a unit is a letter of base64 in either alphabet.
pub(super) fn is_base64(unit: u8) -> bool {
    unit.is_ascii_alphanumeric() || matches!(unit, b'+' | b'/' | b'-' | b'_')
}

/// How many different letters there are.
pub(super) fn distinct(symbols: &[u8]) -> u32 {
    symbols.iter().fold(0_u128, |seen, symbol| seen | 1 << (symbol & 127)).count_ones()
}

/// The bytes of base64 letters, in either alphabet; what is left over at the end is dropped.
pub(super) fn base64(symbols: &[u8]) -> Vec<u8> {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut bytes = Vec::with_capacity(symbols.len() * 3 / 4);
    for symbol in symbols {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// The bytes of hexadecimal digits.
pub(super) fn hexadecimal(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    digits.chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// The numbers of the list that begins at `at`, where they could be bytes, and where it ends or is cut.
pub(super) fn byte_list(text: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let inside = text.get(at + 1..)?;
    let length = inside
        .iter()
        .position(|byte| !(byte.is_ascii_digit() || byte.is_ascii_whitespace() || *byte == b','))
        .unwrap_or(inside.len());
    if length < 2 * MIN_BYTES - 1 {
        return None;
    }
    let items = std::str::from_utf8(inside.get(..length)?).ok()?.trim_end_matches([',', ' ']).split(',');
    let bytes = items.map(|item| item.trim().parse::<u8>()).collect::<Result<Vec<u8>, _>>().ok()?;
    (bytes.len() >= MIN_BYTES).then_some((bytes, at + 1 + length))
}

/// The bytes of a text whose characters are bytes: it holds control characters and none above U+00FF.
pub(super) fn bytes_as_characters(text: &str) -> Option<Vec<u8>> {
    let has_controls = text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace());
    if !has_controls {
        return None;
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
