//! What PostgreSQL's jsonb can hold. Asked where a refused insert would be a nuisance: for the quarantine and the side
//! lanes; rows of accepted messages are simply tried, and the odd one that is refused is isolated.

use serde::de::IgnoredAny;

use super::payload::holds_unstorable_escape;

/// jsonb's parser recurses; its default stack holds several thousand levels.
const MAX_DEPTH: usize = 1_000;
/// numeric has 131,072 digits before the point and 16,383 after it; an exponent of this many digits stays within.
const MAX_EXPONENT_DIGITS: usize = 4;
/// Longest run of digits that is surely within numeric's limits.
const MAX_DIGITS: usize = 16_000;

/// Whether the text is JSON that jsonb surely can hold.
pub fn is_storable(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok() && !holds_unstorable_escape(text) && is_within_limits(text)
}

fn is_within_limits(json: &str) -> bool {
    let (mut depth, mut digits, mut in_exponent) = (0_usize, 0_usize, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' | b'+' | b'-' => continue,
            // Outside of strings an `e` follows a digit only in a number: `true` and `false` have none before theirs.
            b'e' | b'E' if digits > 0 => (digits, in_exponent) = (0, true),
            _ => {
                (digits, in_exponent) = (0, false);
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    b'"' => skip_string(&mut bytes),
                    _ => {}
                }
            }
        }
        if depth > MAX_DEPTH || digits > if in_exponent { MAX_EXPONENT_DIGITS } else { MAX_DIGITS } {
            return false;
        }
    }
    true
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_depths_that_postgresql_refuses_are_not_storable() {
        let deep = format!("{}1{}", "[".repeat(3500), "]".repeat(3500));
        let long = "9".repeat(20_000);
        for text in ["{\"a\":1e200000}", "1E-99999", "[1e12345]", &deep, &long, "{\"a\":\"\\u0000\"}", "{", "NaN"] {
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
}
