//! Redaction of bytes that are not JSON: truncated, not UTF-8, with `NaN` in them, or another format.

use std::borrow::Cow;
use std::ops::Range;

use super::encoded;
use super::token::MASK;
use super::units::{self, Units};

/// Bytes in which every value that follows the token's key is replaced by `***`, as far as
/// bytes without a grammar allow; in doubt more is masked, up to everything behind the key.
///
/// - The key counts however it is spelled: with `\u` escapes, percent-encoded, with any number of backslashes (JSON within JSON
///   strings), in UTF-16 (zero bytes are skipped), and as a part of a longer name.
/// - After a colon or an equals sign, a string ends at the quotation mark that ends it (or not at all: then the rest
///   is masked), a number or a literal at its delimiter.
/// - Whatever else follows the key (an object, a bare word, no separator), the rest is masked.
/// - Text that is encoded once more (base64, hexadecimal) is masked where the key is inside.
pub fn opaque(bytes: &[u8]) -> Cow<'_, [u8]> {
    match without_values(bytes) {
        Cow::Borrowed(bytes) => encoded::without_runs(bytes),
        Cow::Owned(masked) => match encoded::without_runs(&masked) {
            Cow::Borrowed(_) => Cow::Owned(masked),
            Cow::Owned(masked) => Cow::Owned(masked),
        },
    }
}

fn without_values(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !units::spells_key(bytes) {
        return Cow::Borrowed(bytes);
    }
    let units = Units::of(bytes);
    let mut out = Vec::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(after_key) = units.after_key(from) {
        let Some(value) = units.value(after_key) else { break };
        out.extend_from_slice(&bytes[copied..value.start]);
        out.extend_from_slice(MASK.as_bytes());
        copied = value.end;
        from = units.starts.partition_point(|start| *start < value.end);
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
}

/// Text that need be no JSON, as [`opaque`].
pub fn opaque_text(text: &str) -> Cow<'_, str> {
    match opaque(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // Masks begin and end beside ASCII, so no character is ever cut.
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

impl Units<'_> {
    /// The bytes to mask behind a key; `None` where nothing follows it.
    fn value(&self, after_key: usize) -> Option<Range<usize>> {
        let end = self.bytes.len();
        let separator = self.skip(self.skip(after_key, is_quote), is_blank);
        let value = match self.text.get(separator)? {
            b':' | b'=' => self.skip(separator + 1, is_blank),
            _ => return self.range(after_key, end),
        };
        match *self.text.get(value)? {
            _ if self.has_zero_bytes => self.range(value, end),
            quote if is_quote(quote) => self.range(value + 1, self.string_end(value).unwrap_or(end)),
            _ => self.range(value, self.scalar_end(value).unwrap_or(end)),
        }
    }

    fn range(&self, first_unit: usize, end: usize) -> Option<Range<usize>> {
        let start = *self.starts.get(first_unit)?;
        (start < self.bytes.len()).then_some(start..end)
    }

    /// Where the string ends that begins with the quotation mark at `opening`: before the mark that closes it, with
    /// the backslashes that belong to that.
    ///
    /// Within n levels of JSON strings a mark has 2^n - 1 backslashes before it. One with more is a part of the string
    /// if it is still escaped after the n levels are taken off.
    fn string_end(&self, opening: usize) -> Option<usize> {
        let (start, inside) = (self.starts[opening], self.starts[opening + 1]);
        let (mark, backslashes) = self.bytes[start..inside].split_last()?;
        let spelled_plainly = backslashes.iter().all(|b| *b == b'\\') && (backslashes.len() + 1).is_power_of_two();
        if !spelled_plainly {
            return None;
        }
        let levels = (backslashes.len() + 1).ilog2();
        let mut run = 0_usize;
        for (at, byte) in self.bytes.iter().enumerate().skip(inside) {
            if byte == mark && closes(run, levels) {
                return Some(at - backslashes.len().min(run));
            }
            run = if *byte == b'\\' { run + 1 } else { 0 };
        }
        None
    }

    /// Where a number or a literal ends; `None` for anything else.
    fn scalar_end(&self, first: usize) -> Option<usize> {
        let end = self.skip(first, |unit| unit.is_ascii_alphanumeric() || matches!(unit, b'+' | b'-' | b'.'));
        let scalar = &self.text[first..end];
        let is_number = scalar.iter().all(|unit| matches!(unit, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let is_literal = matches!(scalar, b"null" | b"true" | b"false" | b"NaN" | b"Infinity" | b"-Infinity");
        let is_delimited = match self.text.get(end) {
            Some(unit) => is_blank(*unit) || is_quote(*unit) || matches!(unit, b',' | b'}' | b']'),
            None => true,
        };
        (!scalar.is_empty() && (is_number || is_literal) && is_delimited).then(|| self.starts[end])
    }
}

/// Whether a quotation mark after this number of backslashes closes a string of this level.
fn closes(mut backslashes: usize, levels: u32) -> bool {
    for _ in 0..levels {
        if backslashes.is_multiple_of(2) {
            // It ends an outer string, and with it this one.
            return true;
        }
        backslashes /= 2;
    }
    backslashes.is_multiple_of(2)
}

fn is_quote(unit: u8) -> bool {
    matches!(unit, b'"' | b'\'')
}

fn is_blank(unit: u8) -> bool {
    unit.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        String::from_utf8(opaque(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn the_value_behind_the_key_is_masked_and_the_rest_stays() {
        for (text, expected) in [
            (r#"{"provision_token":"tok","a":NaN}"#, r#"{"provision_token":"***","a":NaN}"#),
            (r#"{"provision_token" : 12345678.50 , "a":"#, r#"{"provision_token" : *** , "a":"#),
            (r#"{"provision_token":-1e5}x"#, r#"{"provision_token":***}x"#),
            (r#"{"provision_token":null,"a":}"#, r#"{"provision_token":***,"a":}"#),
            (r#"{"provision\u005ftoken":"tok","a":"#, r#"{"provision\u005ftoken":"***","a":"#),
            (r#"{'provision_token': 'tok', 'a': 1}"#, r#"{'provision_token': '***', 'a': 1}"#),
            (r#"{"provision_token":"t\"o\\\"k\\","a":"#, r#"{"provision_token":"***","a":"#),
            (
                r#"{"provision_token":"one","provision_token":2,"provision_token":"three"} x"#,
                r#"{"provision_token":"***","provision_token":***,"provision_token":"***"} x"#,
            ),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_within_strings_are_seen_through() {
        let tokens = ["tok", r"t\o\\k\", "t\"o\\\"k", "\"", "\\"];
        for token in tokens {
            let mut text = serde_json::json!({ "provision_token": token, "a": "kept" }).to_string();
            let mut expected = r#"{"a":"kept","provision_token":"***"}"#.to_owned();
            for _ in 0..4 {
                let cut = format!(r#"{{"payload":{text}, NaN"#);
                assert_eq!(masked(&cut), format!(r#"{{"payload":{expected}, NaN"#), "{token}");
                text = serde_json::to_string(&text).unwrap();
                expected = serde_json::to_string(&expected).unwrap();
            }
        }
        assert_eq!(masked(r#""{\n \"provision_token\":\n \"tok\"}"#), r#""{\n \"provision_token\":\n \"***\"}"#);
    }

    #[test]
    fn in_doubt_the_rest_is_masked() {
        for (text, expected) in [
            (r#"{"provision_token":"tok"#, r#"{"provision_token":"***"#),
            (r#"{"provision_token":"tok\"#, r#"{"provision_token":"***"#),
            (r#"{"provision_token":123"#, r#"{"provision_token":***"#),
            (r#"{"provision_token":["tok"],"a":1"#, r#"{"provision_token":***"#),
            (r#"{"provision_token":{"t":"tok"},"a":1"#, r#"{"provision_token":***"#),
            (r#"{"provision_token":tok,en"}"#, r#"{"provision_token":***"#),
            (r#"{"provision_token":12tok,en"}"#, r#"{"provision_token":***"#),
            (r#"{"provision_token","tok"}"#, r#"{"provision_token***"#),
            (r#"{"provision_token_2":"tok"}"#, r#"{"provision_token***"#),
            ("provision_token tok", "provision_token***"),
            (r#"{"provision_token":\u0022tok\u0022,"a":1"#, r#"{"provision_token":\u0022***"#),
            (r#"{"provision_token":\\"tok\\","a":1"#, r#"{"provision_token":\\"***"#),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn where_nothing_follows_the_key_nothing_is_masked() {
        for text in
            ["", "{", r#"{"provision_token"#, r#"{"provision_token""#, r#"{"provision_token": "#, "provision-token=x"]
        {
            assert!(matches!(opaque(text.as_bytes()), Cow::Borrowed(same) if same == text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_searched_too() {
        let bytes = b"\xFF\xFE{\"provision_token\":\"t\xC3k\",\xFF";
        assert_eq!(&*opaque(bytes), b"\xFF\xFE{\"provision_token\":\"***\",\xFF");
    }

    #[test]
    fn a_wider_encoding_hides_nothing() {
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let text = r#"{"a":1,"provision_token":"secret","b":2}"#;
            let wide: Vec<u8> = text.encode_utf16().flat_map(to_bytes).collect();
            let found = opaque(&wide);
            assert!(found.ends_with(MASK.as_bytes()));
            assert!(!found.windows(5).any(|window| window == b"e\0c\0r"));
        }
    }

    #[test]
    fn long_runs_of_escapes_take_no_longer_than_their_text() {
        for run in ["\\", "\\u005c", "provision_token:\"\",", "p", "\\\""] {
            let bytes = run.repeat(200_000);
            assert!(opaque(bytes.as_bytes()).len() <= bytes.len() + 3 * 200_000);
        }
    }
}
