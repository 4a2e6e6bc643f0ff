//! Inspection: a search of one content for encoded tokens, with a budget.

use std::borrow::Cow;
use std::ops::Range;

use super::super::compressed::{self, Inside};
use super::super::units::{self, Units};
use super::decode::{MIN_BYTES, base64, byte_list, bytes_as_characters, distinct, hexadecimal, is_base64};
use crate::message::digest::sha256_hex;

/// Fewer letters of base64, the densest of the encodings in letters, can't hold the key.
pub(in crate::message::redact) const MIN_RUN: usize = MIN_BYTES * 4 / 3;
/// The key in any encoding has more different letters, hexadecimal digits of digits too: padding has fewer.
const MIN_DISTINCT: u32 = 4;
/// Most nested encodings that are decoded.
const MAX_DEPTH: usize = 8;
/// Budget of decoded bytes per byte of the content: enough for every byte in any encoding once. A content that takes more
/// counts as hiding a token.
const WORK_PER_BYTE: usize = 4;
/// Least budget, so that small contents are also decoded where they are nested or compressed.
const WORK_AT_LEAST: usize = 256 * 1024;

/// What stands in place of an encoded part: its hash, so that two of them can be compared.
fn mask(encoded: &[u8]) -> String {
    format!("{ENCODED_MARK}{} of {} bytes)", sha256_hex(encoded), encoded.len())
}

/// What every such mask begins with.
pub(in crate::message::redact) const ENCODED_MARK: &str = "*** (encoded; sha256 ";

/// Bytes in which every encoded part that hides a token is masked.
pub(in crate::message::redact) fn without_runs(bytes: &[u8]) -> Cow<'_, [u8]> {
    let parts = Inspection::at(bytes.len()).parts(&units::text_of(bytes), 0);
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

/// Whether the bytes can't be read as text, not even after decompression: what they hold is unknown.
pub fn is_unreadable(bytes: &[u8]) -> bool {
    if bytes.len() < MIN_BYTES {
        return false;
    }
    match compressed::whole(bytes) {
        Inside::Closed => true,
        Inside::Opened(inside) => is_unreadable(&inside) || Inspection::at(inside.len()).hides(&inside, 0),
        Inside::NotCompressed => !compressed::is_text(bytes),
    }
}

/// The inspection of one content, with the budget that is left.
pub(in crate::message::redact) struct Inspection {
    work_left: usize,
}

impl Inspection {
    /// The inspection of a content of this length.
    pub(in crate::message::redact) fn at(bytes: usize) -> Self {
        Self { work_left: (bytes * WORK_PER_BYTE).max(WORK_AT_LEAST) }
    }

    /// What a string (its text, decoded) becomes where it holds an encoded token; `None` where it is unchanged.
    pub(in crate::message::redact) fn masked_string(&mut self, text: &str) -> Option<String> {
        if text.len() < MIN_RUN {
            return None;
        }
        let hides = !self.parts(&units::text_of(text.as_bytes()), 0).is_empty()
            || bytes_as_characters(text).is_some_and(|bytes| self.hides(&bytes, 0));
        hides.then(|| mask(text.as_bytes()))
    }

    /// What the list that begins at `at` (JSON text) becomes where its numbers are the bytes of something that holds a
    /// token; its range without the brackets.
    pub(in crate::message::redact) fn masked_list(&mut self, json: &[u8], at: usize) -> Option<(Range<usize>, String)> {
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
            let symbols: Vec<u8> = text[start..body].iter().copied().filter(|unit| is_base64(*unit)).collect();
            if symbols.len() >= MIN_RUN && distinct(&symbols) >= MIN_DISTINCT && self.run_hides(&symbols, depth) {
                found.push(start..at);
            }
        }
        found
    }

    /// Whether letters are base64 in either alphabet, from any of them on, or hexadecimal, and hide the key.
    fn run_hides(&mut self, symbols: &[u8], depth: usize) -> bool {
        let whole = base64(symbols);
        if let inside @ (Inside::Opened(_) | Inside::Closed) = compressed::without_mark(&whole)
            && self.is_in(inside, depth + 1)
        {
            return true;
        }
        self.hides(&whole, depth + 1)
            || (1..4).any(|skipped| self.hides(&base64(&symbols[skipped..]), depth + 1))
            || symbols
                .split(|symbol| !symbol.is_ascii_hexdigit())
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
