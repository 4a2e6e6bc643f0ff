//! Redaction of JSON text: members named like the token are removed, everything else stays byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::cursor::{after_blanks, after_number, after_string, after_value};
use super::encoded::{self, Inspection};
use super::opaque::opaque_text;
use super::token::TOKEN_KEY;
use super::units;

/// Most levels of JSON text within JSON strings that are inspected; a string that goes deeper is masked as a whole.
const MAX_STRING_LEVELS: usize = 8;

/// The text of a JSON object without its own `provision_token` members: all of them, however the key is spelled
/// (`"provision\u005ftoken"`). Everything else stays byte for byte, but for a comma beside each removed member.
///
/// For valid JSON. Where the text turns out to be broken, it is treated as [`opaque`](super::opaque()).
pub fn without_token(object: &str) -> Cow<'_, str> {
    redacted(object, Scope::Members)
}

/// JSON text without `provision_token` members at any depth, also within objects that are encoded in strings (where
/// such a string is no JSON, the value that follows the key is masked). A string or a list of bytes in which a token is
/// encoded (base64, hexadecimal, compressed) is masked as a whole.
///
/// Neither deep nesting nor strings within strings cost stack. Text that is no JSON is treated as
/// [`opaque`](super::opaque()).
pub fn scrub(json: &str) -> Cow<'_, str> {
    scrub_levels(json, MAX_STRING_LEVELS, &mut Inspection::at(json.len()))
}

fn scrub_levels<'a>(json: &'a str, levels: usize, inspection: &mut Inspection) -> Cow<'a, str> {
    // No JSON text holds a zero byte; with one it could be a wider encoding, whose letters lie apart.
    let is_suspect = units::spells_key(json.as_bytes()) || json.as_bytes().contains(&0);
    if is_suspect && serde_json::from_str::<IgnoredAny>(json).is_err() {
        return opaque_text(json);
    }
    redacted(json, Scope::Everything { levels, inspection })
}

/// Extent of a redaction.
enum Scope<'l> {
    /// The members of the outermost object.
    Members,
    /// All members, strings up to this many levels, and encoded parts within the budget of the inspection.
    Everything { levels: usize, inspection: &'l mut Inspection },
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
                if let Scope::Everything { inspection, .. } = &mut scope
                    && *byte == b'['
                    && let Some((range, with)) = inspection.masked_list(bytes, at)
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
                if let Scope::Everything { levels, inspection } = &mut scope
                    && let Some(with) = scrubbed_string(&text[at..end], *levels, inspection)
                {
                    edits.push(Edit { range: at..end, with });
                }
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = after_number(bytes, at);
                // Hexadecimal of hexadecimal has digits only: as JSON it is a number.
                if let Scope::Everything { inspection, .. } = &mut scope
                    && let Some(mask) = inspection.masked_string(&text[at..end])
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
fn scrubbed_string(string: &str, levels: usize, inspection: &mut Inspection) -> Option<Cow<'static, str>> {
    let is_suspect = may_spell_key(string);
    if !is_suspect && string.len() < encoded::MIN_RUN {
        return None;
    }
    let masked = Some(Cow::Borrowed("\"***\""));
    // A string that is none (a lone surrogate) but may spell the key.
    let Ok(text) = serde_json::from_str::<String>(string) else { return masked };
    if !units::spells_key(text.as_bytes()) {
        return inspection.masked_string(&text).map(|mask| Cow::Owned(format!("\"{mask}\"")));
    }
    let Some(levels) = levels.checked_sub(1) else { return masked };
    match scrub_levels(&text, levels, inspection) {
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
