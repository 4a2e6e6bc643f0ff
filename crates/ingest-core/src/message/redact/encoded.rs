//! Encodings that hide a token: base64, hexadecimal, lists of byte values, compression, and any of them inside of another.
//!
//! What is encoded is decoded and looked into, in bounded time and memory. Where the token's key is inside, and where the
//! inside can't be known (a damaged or unknown compression, too deep, too much), the encoded part counts as hiding one.

use std::borrow::Cow;
use std::ops::Range;

use super::compressed::{self, Inside};
use super::token::TOKEN_KEY;
use super::units::{self, Units};
use crate::message::digest::sha256_hex;

/// Bytes that are fewer can't hold the key.
const MIN_BYTES: usize = TOKEN_KEY.len();
/// The same for the letters of base64, the densest of the encodings in letters.
pub(super) const MIN_RUN: usize = MIN_BYTES * 4 / 3;
/// The key in any encoding has more different letters, hexadecimal digits of digits too: padding has fewer.
const MIN_DISTINCT: u32 = 4;
/// How many encodings within each other are looked through.
const MAX_DEPTH: usize = 8;
/// How much is decoded of one content: every byte in any encoding once, and what is small also when it is nested or
/// compressed. A content that asks for more was made to be expensive.
const WORK_PER_BYTE: usize = 4;
const WORK_AT_LEAST: usize = 256 * 1024;

/// What stands in place of an encoded part: its hash, so that two of them can be compared.
fn mask(encoded: &[u8]) -> String {
    format!("{ENCODED_MARK}{} of {} bytes)", sha256_hex(encoded), encoded.len())
}

/// What every such mask begins with.
pub(super) const ENCODED_MARK: &str = "*** (encoded; sha256 ";

/// Bytes in which every encoded part that hides a token is masked.
pub(super) fn without_runs(bytes: &[u8]) -> Cow<'_, [u8]> {
    let parts = Look::at(bytes.len()).parts(&units::text_of(bytes), 0);
    if parts.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let units = Units::of(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for part in parts {
        let (start, end) = (units.starts[part.start], units.starts[part.end]);
        if start < copied || start == end {
            continue; // two encodings take the same bytes for theirs
        }
        out.extend_from_slice(&bytes[copied..start]);
        out.extend_from_slice(mask(&bytes[start..end]).as_bytes());
        copied = end;
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
}

/// Whether a redaction masked something because of how it was encoded.
pub fn has_masked_encoding(before: &[u8], after: &[u8]) -> bool {
    let masks = |bytes: &[u8]| {
        let mark = ENCODED_MARK.as_bytes();
        bytes.windows(mark.len()).filter(|window| *window == mark).count()
    };
    masks(after) > masks(before)
}

/// Whether the bytes are something that can't be read as text, also after it is decompressed: nobody can say what is in
/// them.
pub fn is_unreadable(bytes: &[u8]) -> bool {
    if bytes.len() < MIN_BYTES {
        return false;
    }
    match compressed::whole(bytes) {
        Inside::Closed => true,
        Inside::Opened(inside) => is_unreadable(&inside) || Look::at(inside.len()).hides(&inside, 0),
        Inside::NotCompressed => !compressed::is_text(bytes),
    }
}

/// One look into a content, with an end to its patience.
pub(super) struct Look {
    work_left: usize,
}

impl Look {
    /// A look into so many bytes.
    pub(super) fn at(bytes: usize) -> Self {
        Self { work_left: (bytes * WORK_PER_BYTE).max(WORK_AT_LEAST) }
    }

    /// What a string (its text, decoded) becomes where it holds an encoded token; `None` where it can stay.
    pub(super) fn masked_string(&mut self, text: &str) -> Option<String> {
        if text.len() < MIN_RUN {
            return None;
        }
        let hides = !self.parts(&units::text_of(text.as_bytes()), 0).is_empty()
            || bytes_as_characters(text).is_some_and(|bytes| self.hides(&bytes, 0));
        hides.then(|| mask(text.as_bytes()))
    }

    /// What the list that begins at `at` (JSON text) becomes where its numbers are the bytes of something that holds a
    /// token; its range without the brackets.
    pub(super) fn masked_list(&mut self, json: &[u8], at: usize) -> Option<(Range<usize>, String)> {
        let (bytes, end) = byte_list(json, at).filter(|(_, end)| json.get(*end) == Some(&b']'))?;
        self.hides(&bytes, 0).then(|| (at + 1..end, format!("\"{}\"", mask(&json[at + 1..end]))))
    }

    /// Whether decoded bytes hold the key, plainly or encoded once more.
    fn hides(&mut self, bytes: &[u8], depth: usize) -> bool {
        if bytes.len() < MIN_BYTES {
            return false;
        }
        if depth > MAX_DEPTH || self.work_left < bytes.len() {
            return true;
        }
        self.work_left -= bytes.len();
        let text = units::text_of(bytes);
        units::holds_key(&text)
            || compressed::parts(bytes).into_iter().any(|inside| self.is_in(inside, depth))
            || !self.parts(&text, depth).is_empty()
    }

    fn is_in(&mut self, inside: Inside, depth: usize) -> bool {
        match inside {
            Inside::Closed => true,
            Inside::Opened(inside) => self.hides(&inside, depth + 1),
            Inside::NotCompressed => false,
        }
    }

    /// The encoded parts of a text that hide the key, in their order.
    fn parts(&mut self, text: &[u8], depth: usize) -> Vec<Range<usize>> {
        let mut parts = self.runs(text, depth);
        parts.extend(self.lists(text, depth));
        parts.sort_unstable_by_key(|part| part.start);
        parts
    }

    /// The runs of letters and digits, blanks between them ignored, that hide the key.
    fn runs(&mut self, text: &[u8], depth: usize) -> Vec<Range<usize>> {
        let skip = |from: usize, skips: fn(u8) -> bool| {
            let rest = text.get(from..).unwrap_or_default();
            from + rest.iter().position(|unit| !skips(*unit)).unwrap_or(rest.len())
        };
        let mut found = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let start = skip(at, |unit| !is_base64(unit));
            let body = skip(start, |unit| is_base64(unit) || unit.is_ascii_whitespace());
            at = skip(body, |unit| unit == b'=').max(start + 1);
            if body - start < MIN_RUN {
                continue;
            }
            let letters: Vec<u8> = text[start..body].iter().copied().filter(|unit| is_base64(*unit)).collect();
            if letters.len() >= MIN_RUN && distinct(&letters) >= MIN_DISTINCT && self.run_hides(&letters, depth) {
                found.push(start..at);
            }
        }
        found
    }

    /// Whether letters are base64 in either alphabet, from any of them on, or hexadecimal, and hide the key.
    fn run_hides(&mut self, letters: &[u8], depth: usize) -> bool {
        let whole = base64(letters);
        if let inside @ (Inside::Opened(_) | Inside::Closed) = compressed::without_mark(&whole)
            && self.is_in(inside, depth + 1)
        {
            return true;
        }
        self.hides(&whole, depth + 1)
            || (1..4).any(|skipped| self.hides(&base64(&letters[skipped..]), depth + 1))
            || letters
                .split(|letter| !letter.is_ascii_hexdigit())
                .filter(|digits| digits.len() >= 2 * MIN_BYTES)
                .any(|digits| (0..2).any(|skipped| self.hides(&hexadecimal(&digits[skipped..]), depth + 1)))
    }

    /// The lists of numbers, without their brackets, that are the bytes of something with the key in it.
    fn lists(&mut self, text: &[u8], depth: usize) -> Vec<Range<usize>> {
        let openings = text.iter().enumerate().filter(|(_, unit)| **unit == b'[').map(|(at, _)| at);
        let mut found = Vec::new();
        for at in openings {
            if let Some((bytes, end)) = byte_list(text, at)
                && self.hides(&bytes, depth + 1)
            {
                found.push(at + 1..end);
            }
        }
        found
    }
}

fn is_base64(unit: u8) -> bool {
    unit.is_ascii_alphanumeric() || matches!(unit, b'+' | b'/' | b'-' | b'_')
}

/// How many different letters there are.
fn distinct(letters: &[u8]) -> u32 {
    letters.iter().fold(0_u128, |seen, letter| seen | 1 << (letter & 127)).count_ones()
}

/// The bytes of base64 letters, in either alphabet; what is left over at the end is dropped.
fn base64(letters: &[u8]) -> Vec<u8> {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut bytes = Vec::with_capacity(letters.len() * 3 / 4);
    for letter in letters {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
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

fn hexadecimal(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    digits.chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// The numbers of the list that begins at `at`, where they could be bytes, and where it ends or is cut.
fn byte_list(text: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
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
fn bytes_as_characters(text: &str) -> Option<Vec<u8>> {
    let has_controls = text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace());
    if !has_controls {
        return None;
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests;
