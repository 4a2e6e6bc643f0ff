//! Limits of PostgreSQL's jsonb: what it can hold, and hold without growing.
//!
//! jsonb stores numbers as decimals and writes them out digit by digit: `1e131000` is seven characters on the wire and
//! 131 kB wherever the row is read. So the length of a payload's numbers, written out, is bounded.

use serde::de::IgnoredAny;

/// jsonb's parser recurses; its default stack holds several thousand levels.
const MAX_DEPTH: usize = 1_000;
/// Most digits of numeric before the point.
const MAX_WHOLE_DIGITS: u64 = 131_072;
/// Most digits of numeric after the point.
const MAX_FRACTION_DIGITS: u64 = 16_383;
/// Most bytes that the exponents of a row's numbers may add to it when jsonb writes them out: fifty of the largest
/// numbers, twice. A number is stored as sent although no point can hold it, so readers of rows have to expect this.
pub const MAX_ADDED_TO_ROW: u64 = 16 * 1024 * 1024;
/// The same for text in the quarantine, and for payloads that share a statement with others.
const MAX_ADDED_ELSEWHERE: u64 = 64 * 1024;

/// Whether the text is JSON that jsonb can hold, at about its size.
pub fn is_storable(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
        && !holds_unstorable_escape(text)
        && unstorable_reason(text, MAX_ADDED_ELSEWHERE).is_none()
}

/// Why jsonb can't hold a JSON text, or only with more than `max_added` further bytes; `None` where it can. Strings aside,
/// see [`holds_unstorable_escape`]. Ordinary text costs one scan; only text that could be too large is counted.
pub fn unstorable_reason(json: &str, max_added: u64) -> Option<&'static str> {
    let bytes = json.as_bytes();
    let is_ordinary = bytes.len() as u64 <= MAX_FRACTION_DIGITS && !may_be_deep(bytes) && !has_exponent(bytes);
    if is_ordinary { None } else { Scan { depth: 0, added: 0, max_added }.run(bytes) }
}

/// Whether it may be nested too deeply: each level has two brackets; those in strings count too.
fn may_be_deep(bytes: &[u8]) -> bool {
    let opening = || bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    bytes.len() > 2 * MAX_DEPTH && opening() > MAX_DEPTH
}

/// Whether any number may have an exponent: a digit before an `e`, or so in a string.
fn has_exponent(bytes: &[u8]) -> bool {
    // Bytes only and no early exit, so that the compiler vectorises it.
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let exponent = |before: u8, byte: u8| u8::from(before.wrapping_sub(b'0') < 10) & u8::from(byte | 0x20 == b'e');
    pairs.fold(0, |found, (before, byte)| found | exponent(*before, *byte)) != 0
}

/// A scan of JSON text for depth and numbers.
struct Scan {
    depth: usize,
    added: u64,
    max_added: u64,
}

impl Scan {
    fn run(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let rest = &bytes[at..];
            at += match byte {
                b'"' => string_length(rest),
                b'0'..=b'9' => {
                    let (length, reason) = self.number(rest);
                    if reason.is_some() {
                        return reason;
                    }
                    length
                }
                _ => 1,
            };
            match byte {
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                _ => continue,
            }
            if self.depth > MAX_DEPTH {
                return Some("payload: more than 1000 levels deep");
            }
        }
        None
    }

    /// The number at the beginning: its length, and why it is unstorable.
    fn number(&mut self, bytes: &[u8]) -> (usize, Option<&'static str>) {
        let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(0);
        let mut end = whole;
        let mut fraction = 0;
        if bytes.get(end) == Some(&b'.') {
            fraction = digits(end + 1);
            end += 1 + fraction;
        }
        let mut exponent = 0_i64;
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let signs = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let length = digits(end + 1 + signs);
            let text = bytes.get(end + 1..end + 1 + signs + length).unwrap_or_default();
            // What is no i64 is far beyond any limit, whichever way.
            exponent = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX / 2);
            end += 1 + signs + length;
        }
        let mut written_whole = (whole as i64).saturating_add(exponent).max(1) as u64;
        let mut written_fraction = (fraction as i64).saturating_sub(exponent).max(0) as u64;
        let mantissa = bytes.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
        if mantissa.copied().all(|byte| matches!(byte, b'0' | b'.')) {
            // Zero is zero at any exponent, and a metric that is zero is spelled so for its row.
            (written_whole, written_fraction) = (1, written_fraction.min(MAX_FRACTION_DIGITS));
        }
        self.added += (written_whole.saturating_add(written_fraction)).saturating_sub((whole + fraction) as u64);
        let reason = if written_whole > MAX_WHOLE_DIGITS || written_fraction > MAX_FRACTION_DIGITS {
            Some("payload: a number beyond PostgreSQL's numeric")
        } else if self.added > self.max_added {
            Some("payload: its numbers swell when they are written out")
        } else {
            None
        };
        (end.max(1), reason)
    }
}

/// The length of the string at the beginning, with its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Whether a string of this JSON text holds what jsonb can't: NUL, or a surrogate without its other half. Escapes stand
/// only in strings, so looking at backslashes is enough.
pub fn holds_unstorable_escape(text: &str) -> bool {
    if !text.contains("\\u") {
        return false;
    }
    let bytes = text.as_bytes();
    let unit = |at: usize| {
        let digits = text.get(at + 2..at + 6).filter(|_| bytes[at..].starts_with(b"\\u"))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            None => at += 2,
            Some(0 | 0xDC00..=0xDFFF) => return true,
            Some(0xD800..=0xDBFF) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return true,
            },
            Some(_) => at += 6,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_depths_that_postgresql_refuses_are_not_storable() {
        let deep = format!("{}1{}", "[".repeat(3500), "]".repeat(3500));
        let long = format!("0.{}", "9".repeat(20_000));
        for text in [
            "{\"a\":1e200000}",
            "1E-99999",
            "[1e131073]",
            "1e99999999999999999999",
            "-1e-16384",
            &deep,
            &long,
            "{\"a\":\"\\u0000\"}",
            "{",
            "NaN",
        ] {
            assert!(!is_storable(text), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn ordinary_json_is_storable() {
        for text in
            ["{}", "[true,false,null]", "{\"e\":1e300,\"s\":\"1e200000 \\\" [[[\"}", "1.5e-7", "\"\\ud83d\\ude00\""]
        {
            assert!(is_storable(text), "{text}");
        }
    }

    #[test]
    fn numbers_may_grow_up_to_the_limit_in_all() {
        let numbers = |count: usize, number: &str| format!("[{}]", vec![number; count].join(","));
        for (count, number) in [
            (1, "1e65000"),
            (65, "1e999"),
            (650, "1.5E+99"),
            (4, "1e-16383"),
            (8_000, "1e8"),
            (9, "0e0"),
            (9, "0.0e200000"),
            (1, "0e-20000"),
        ] {
            assert_eq!(unstorable_reason(&numbers(count, number), MAX_ADDED_ELSEWHERE), None, "{count} of {number}");
        }
        for (count, number) in [(1, "1e65600"), (49, "1e131000"), (66, "1e1000"), (700, "1.5E+99"), (5, "1e-16383")] {
            assert!(
                unstorable_reason(&numbers(count, number), MAX_ADDED_ELSEWHERE)
                    .is_some_and(|why| why.contains("swell")),
                "{count} of {number}"
            );
        }
        assert_eq!(unstorable_reason(&numbers(100, "1e131071"), MAX_ADDED_TO_ROW), None);
        assert!(unstorable_reason(&numbers(200, "1e131071"), MAX_ADDED_TO_ROW).is_some());
        // Letters and digits in strings are no numbers, and digits that were sent add nothing.
        assert_eq!(unstorable_reason(&format!("{{\"id\":\"{}\"}}", "9e99999".repeat(100)), 0), None);
        assert_eq!(unstorable_reason(&"9".repeat(131_072), 0), None);
        assert!(unstorable_reason(&"9".repeat(131_073), 0).is_some_and(|why| why.contains("numeric")));
    }

    #[test]
    fn only_what_jsonb_can_not_hold_is_unstorable() {
        for text in [
            r#"{"a":"\u0000"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"x\udc00y"}"#,
            r#"{"\ud83d":1}"#,
            r#"{"a":"\ud83d\ud83d\ude00"}"#,
        ] {
            assert!(holds_unstorable_escape(text), "{text}");
        }
        for text in [r#"{"a":"\\u0000"}"#, r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\u00e9"}"#, r#"{"a":"\\\\"}"#, "{}"] {
            assert!(!holds_unstorable_escape(text), "{text}");
        }
    }
}
