//! Provision tokens stay out of everything that is stored or sent on.
//!
//! Three rules for three kinds of input: [`without_token`] for a payload that is accepted (per message, so one scan),
//! [`scrub`] for any JSON text that goes to the quarantine, [`opaque`] for bytes that are no JSON (and [`is_unreadable`]
//! for those that nobody can look into).

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

mod compressed;
mod encoded;
mod opaque;
mod units;

use encoded::Look;
pub use encoded::is_unreadable;
pub use opaque::opaque;

/// The payload's member that holds a device's provision token.
pub const TOKEN_KEY: &str = "provision_token";

/// What stands in place of a removed token.
const MASK: &str = "***";

/// How many levels of JSON text within JSON strings are looked into; a string that goes deeper is masked as a whole.
const MAX_STRING_LEVELS: usize = 8;

/// The text of a JSON object without its own `provision_token` members: all of them, however the key is spelled
/// (`"provision\u005ftoken"`). Everything else stays byte for byte, but for a comma beside each removed member.
///
/// For valid JSON. Where the text turns out to be broken, it is treated as [`opaque`].
pub fn without_token(object: &str) -> Cow<'_, str> {
    redacted(object, Scope::Members)
}

/// JSON text without `provision_token` members at any depth, also within objects that are encoded in strings (where
/// such a string is no JSON, the value that follows the key is masked). A string or a list of bytes in which a token is
/// encoded (base64, hexadecimal, compressed) is masked as a whole.
///
/// Neither deep nesting nor strings within strings cost stack. Text that is no JSON is treated as [`opaque`].
pub fn scrub(json: &str) -> Cow<'_, str> {
    scrub_levels(json, MAX_STRING_LEVELS, &mut Look::at(json.len()))
}

fn scrub_levels<'a>(json: &'a str, levels: usize, look: &mut Look) -> Cow<'a, str> {
    // No JSON text holds a zero byte; with one it could be a wider encoding, whose letters lie apart.
    let is_suspect = opaque::spells_key(json.as_bytes()) || json.as_bytes().contains(&0);
    if is_suspect && serde_json::from_str::<IgnoredAny>(json).is_err() {
        return opaque_text(json);
    }
    redacted(json, Scope::Everything { levels, look })
}

/// Text that need be no JSON, as [`opaque`].
pub fn opaque_text(text: &str) -> Cow<'_, str> {
    match opaque(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // Masks begin and end beside ASCII, so no character is ever cut.
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Whether a redaction masked something because of how it was encoded.
pub fn has_masked_encoding(before: &[u8], after: &[u8]) -> bool {
    let masks = |bytes: &[u8]| {
        let mark = encoded::ENCODED_MARK.as_bytes();
        bytes.windows(mark.len()).filter(|window| *window == mark).count()
    };
    masks(after) > masks(before)
}

/// How far a redaction goes.
enum Scope<'l> {
    /// The members of the outermost object.
    Members,
    /// All members, and strings for so many levels; what may be encoded as far as the look goes.
    Everything { levels: usize, look: &'l mut Look },
}

/// A change to the text.
struct Edit {
    range: Range<usize>,
    /// Empty to remove.
    with: Cow<'static, str>,
}

fn redacted<'a>(text: &'a str, scope: Scope<'_>) -> Cow<'a, str> {
    if matches!(scope, Scope::Members) && !may_spell_key(text) {
        return Cow::Borrowed(text);
    }
    let Some(edits) = edits(text, scope) else { return opaque_text(text) };
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        out.push_str(&text[copied..edit.range.start]);
        out.push_str(&edit.with);
        copied = edit.range.end;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Whether the key may occur: letter by letter, or with any letter as a `\u` escape.
fn may_spell_key(text: &str) -> bool {
    text.contains(TOKEN_KEY) || text.contains("\\u")
}

/// An open object or array.
struct Frame {
    is_object: bool,
    /// The comma after the last member that stays, as long as no other member that stays follows it.
    comma: Option<usize>,
}

/// The changes that a redaction makes, in the order of the text. `None` where the text is no JSON.
fn edits(text: &str, mut scope: Scope<'_>) -> Option<Vec<Edit>> {
    let bytes = text.as_bytes();
    let mut edits: Vec<Edit> = Vec::new();
    let mut open: Vec<Frame> = Vec::new();
    let mut expects_key = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' if matches!(scope, Scope::Members) && open.len() == 1 => at = after_value(bytes, at)?,
            b'{' | b'[' => {
                if let Scope::Everything { look, .. } = &mut scope
                    && *byte == b'['
                    && let Some((range, with)) = look.masked_list(bytes, at)
                {
                    at = range.end + 1;
                    edits.push(Edit { range, with: Cow::Owned(with) });
                    continue;
                }
                expects_key = *byte == b'{';
                open.push(Frame { is_object: expects_key, comma: None });
                at += 1;
            }
            b'}' | b']' => {
                open.pop()?;
                expects_key = false;
                at += 1;
            }
            b',' => {
                if let Some(frame) = open.last_mut() {
                    expects_key = frame.is_object;
                    frame.comma = Some(at);
                }
                at += 1;
            }
            b'"' => {
                let end = after_string(bytes, at)?;
                let is_key = std::mem::take(&mut expects_key);
                match open.last_mut() {
                    Some(object) if is_key && spells_key(&bytes[at + 1..end - 1]) => {
                        let (range, more) = member_cut(bytes, at, end, object.comma)?;
                        while edits.last().is_some_and(|edit| edit.range.start >= range.start) {
                            edits.pop();
                        }
                        at = range.end;
                        expects_key = more;
                        edits.push(Edit { range, with: Cow::Borrowed("") });
                        continue;
                    }
                    Some(object) if is_key => object.comma = None,
                    _ => {}
                }
                if let Scope::Everything { levels, look } = &mut scope
                    && let Some(with) = scrubbed_string(&text[at..end], *levels, look)
                {
                    edits.push(Edit { range: at..end, with });
                }
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = after_number(bytes, at);
                // Hexadecimal of hexadecimal has no letters: as JSON it is a number.
                if let Scope::Everything { look, .. } = &mut scope
                    && let Some(mask) = look.masked_string(&text[at..end])
                {
                    edits.push(Edit { range: at..end, with: Cow::Owned(format!("\"{mask}\"")) });
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    open.is_empty().then_some(edits)
}

/// What to cut for a member whose key lies at `key..key_end`, and whether another key follows: the member with the
/// comma behind it, or, for the last one, with the comma before it.
fn member_cut(bytes: &[u8], key: usize, key_end: usize, comma: Option<usize>) -> Option<(Range<usize>, bool)> {
    let colon = after_blanks(bytes, key_end);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let end = after_value(bytes, after_blanks(bytes, colon + 1))?;
    let next = after_blanks(bytes, end);
    Some(match bytes.get(next) {
        Some(b',') => (key..next + 1, true),
        _ => (comma.unwrap_or(key)..end, false),
    })
}

/// What a JSON string (with its quotes) becomes where it holds JSON text or other text with a token; `None` where it
/// can stay.
fn scrubbed_string(string: &str, levels: usize, look: &mut Look) -> Option<Cow<'static, str>> {
    let is_suspect = may_spell_key(string);
    if !is_suspect && string.len() < encoded::MIN_RUN {
        return None;
    }
    let masked = Some(Cow::Borrowed("\"***\""));
    // A string that is none (a lone surrogate) but may spell the key.
    let Ok(text) = serde_json::from_str::<String>(string) else { return masked };
    if !opaque::spells_key(text.as_bytes()) {
        return look.masked_string(&text).map(|mask| Cow::Owned(format!("\"{mask}\"")));
    }
    let Some(levels) = levels.checked_sub(1) else { return masked };
    match scrub_levels(&text, levels, look) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => serde_json::to_string(&text).map(Cow::Owned).ok().or(masked),
    }
}

/// Whether the inside of a JSON string is the key.
fn spells_key(string: &[u8]) -> bool {
    if !string.contains(&b'\\') {
        return string == TOKEN_KEY.as_bytes();
    }
    let mut rest = string;
    for expected in TOKEN_KEY.bytes() {
        rest = match rest {
            [b'\\', b'u', after @ ..] => match units::hex_unit(after) {
                Some((unit, after)) if unit == u16::from(expected) => after,
                _ => return false,
            },
            [byte, after @ ..] if *byte == expected => after,
            _ => return false,
        };
    }
    rest.is_empty()
}

fn after_blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Where the string that begins at `at` has ended.
fn after_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the number that begins at `at` has ended.
fn after_number(bytes: &[u8], at: usize) -> usize {
    let is_of_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    at + bytes[at..].iter().take_while(is_of_number).count()
}

/// Where the value that begins at `at` has ended.
fn after_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = after_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => at += 1,
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => return None,
            // A number, `true`, `false` or `null`.
            _ => {
                let rest = &bytes[at..];
                let is_inside = |b: &&u8| !matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                at += rest.iter().take_while(is_inside).count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_and_the_rest_stays_byte_for_byte() {
        for (text, expected) in [
            (r#"{"provision_token":"x"}"#, r#"{}"#),
            (r#"{ "provision_token" : "x" }"#, r#"{  }"#),
            (r#"{"a":1,"provision_token":"x"}"#, r#"{"a":1}"#),
            (r#"{"provision_token":"x","a":1}"#, r#"{"a":1}"#),
            (r#"{"a": 1, "provision_token": "x", "b" :2.50}"#, r#"{"a": 1,  "b" :2.50}"#),
            ("{\n\t\"a\":1,\n\t\"provision_token\":\"x\"\n}", "{\n\t\"a\":1\n}"),
            (r#"{"provision_token":1,"provision_token":[2,{"a":"}"}],"provision_token":null}"#, "{}"),
            (r#"{"provision_token":1,"a":{},"provision_token":2,"provision_token":3}"#, r#"{"a":{}}"#),
            (r#"{"provision\u005ftoken":"x","a":"\u005f"}"#, r#"{"a":"\u005f"}"#),
            (r#"{"\u0070\u0072\u006F\u0076\u0069\u0073ion_token":"x"}"#, "{}"),
            (r#"{"a":"a,\"provision_token\":\\","provision_token":"q\"}\\"}"#, r#"{"a":"a,\"provision_token\":\\"}"#),
        ] {
            assert_eq!(without_token(text), expected, "{text}");
            assert!(serde_json::from_str::<IgnoredAny>(expected).is_ok());
        }
    }

    #[test]
    fn without_a_token_nothing_is_copied() {
        for text in [
            "{}",
            r#"{"a":"gr\u00fcn","b":[1,{"c":null}]}"#,
            r#"{"provision_tokens":1,"provision_toke":2,"Provision_token":3,"a":"provision_token"}"#,
            r#"{"provision\\u005ftoken":"x","provision\u005etoken":1,"provision\ntoken":2}"#,
            r#"{"metrics":{"provision_token":5}}"#,
        ] {
            assert!(matches!(without_token(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn broken_objects_lose_their_token_too() {
        for text in
            [r#"{"provision_token":"tok"#, r#"{"a":1,"provision_token" "tok"}"#, r#"}{"provision_token":"tok"}"#]
        {
            assert!(!without_token(text).contains("tok\""), "{text}");
            assert!(!without_token(text).ends_with("tok"), "{text}");
        }
    }

    #[test]
    fn scrubbing_goes_to_any_depth() {
        for (text, expected) in [
            (r#"[{"a":[{"provision_token":"x","b":1}]},{"provision_token":{}}]"#, r#"[{"a":[{"b":1}]},{}]"#),
            (r#"{"m":{"a":1,"provision_token":"x"},"provision_token":2}"#, r#"{"m":{"a":1}}"#),
            (r#"{"a":[1,2],"provision_token":2,"b":{"c":[],"provision_token":1}}"#, r#"{"a":[1,2],"b":{"c":[]}}"#),
            (r#"["provision_token"]"#, r#"["provision_token"]"#),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }

    #[test]
    fn scrubbing_looks_into_strings() {
        let inner = r#"{"a":1,"provision_token":"tok"}"#;
        let mut text = inner.to_owned();
        let mut expected = r#"{"a":1}"#.to_owned();
        for level in 0..6 {
            text = serde_json::json!({ "payload": text, "level": level }).to_string();
            expected = serde_json::json!({ "payload": expected, "level": level }).to_string();
            assert_eq!(scrub(&text), expected);
        }
        assert_eq!(scrub(r#""{\"provision_token\":\"tok\"}""#), r#""{}""#);
        assert_eq!(scrub(r#"{"{\"provision_token\":\"tok\"}":1}"#), r#"{"{}":1}"#);
        assert_eq!(
            scrub(r#"{"p":"{\"provision_token\":\"tok\", cut"}"#),
            r#"{"p":"{\"provision_token\":\"***\", cut"}"#
        );
        assert_eq!(scrub(r#"{"p":"provision_token=tok"}"#), r#"{"p":"provision_token=***"}"#);
        assert_eq!(scrub(r#"["\ud800 provision_token=tok"]"#), r#"["***"]"#);
    }

    #[test]
    fn a_string_that_goes_too_deep_is_masked() {
        let mut text = r#"{"provision_token":"tok"}"#.to_owned();
        for _ in 0..12 {
            text = serde_json::to_string(&text).unwrap();
        }
        let scrubbed = scrub(&text);
        assert!(!scrubbed.contains("tok") && scrubbed.contains(MASK));
        assert!(serde_json::from_str::<String>(&scrubbed).is_ok());
    }

    #[test]
    fn what_is_no_json_is_scrubbed_all_the_same() {
        assert_eq!(scrub(r#"{"provision_token":"tok","a":NaN}"#), r#"{"provision_token":"***","a":NaN}"#);
        assert_eq!(
            scrub("p\0r\0o\0v\0i\0s\0i\0o\0n\0_\0t\0o\0k\0e\0n\0=\0t\0o\0k"),
            "p\0r\0o\0v\0i\0s\0i\0o\0n\0_\0t\0o\0k\0e\0n\0=***"
        );
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let depth = 200_000;
        let nested = |inner: &str| format!("{}{inner}{}", r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
        let text = nested(r#"{"provision_token":"tok"}"#);
        assert_eq!(scrub(&text), nested("{}"));
        let object = format!(r#"{{"x":{text},"provision_token":1}}"#);
        assert_eq!(without_token(&object), format!(r#"{{"x":{text}}}"#));
    }

    #[test]
    fn many_tokens_take_no_longer_than_their_text() {
        let members = r#""provision_token":1,"#.repeat(100_000);
        let text = format!(r#"{{{members}"a":"{}"}}"#, r"\u005c".repeat(100_000));
        assert_eq!(scrub(&text).len(), text.len() - members.len());
    }
}
