//! Names in line protocol: tag values and field keys, escaped or percent-encoded.
//!
//! In tag values and field keys the backslash, comma, equals sign and blank are escaped with a backslash. What line
//! protocol can't hold at all, an ASCII control character (line feed, carriage return, tab, ...) or a backslash at
//! the end, makes the whole name percent-encoded: `%`, backslashes and control characters become `%` and two upper-case
//! hexadecimal digits. So that no two names ever become one, a name that already holds what that encoding writes
//! (`%25`, `%5C`, `%00` to `%1F`, `%7F`) is encoded as well: `a%0A` becomes `a%250A`, for `a%0A` is what a name with a
//! line feed becomes. Any other `%` stays (`100%`, `a%20b`).

use std::fmt::Write;

/// Whether a metric's name is reserved: for the time, the tags and the sequence number of every point, or for InfluxDB
/// itself (`__chunk_order`: it rejects the whole point).
pub fn is_reserved(key: &str) -> bool {
    matches!(key, "time" | "device_id" | "site_id" | "seq" | "__chunk_order")
}

/// What a byte of a name requires.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Care {
    /// Nothing.
    None = 0,
    /// A backslash before it.
    Escape = 1,
    /// A check whether the name needs encoding.
    Check = 2,
}

/// By byte.
const CARE: [Care; 256] = {
    let mut care = [Care::None; 256];
    let mut control = 0;
    while control < 0x20 {
        care[control] = Care::Check;
        control += 1;
    }
    care[0x7F] = Care::Check;
    care[b'%' as usize] = Care::Check;
    care[b'\\' as usize] = Care::Escape;
    care[b',' as usize] = Care::Escape;
    care[b'=' as usize] = Care::Escape;
    care[b' ' as usize] = Care::Escape;
    care
};

/// Writes a tag value or a field key by the rule of the module.
pub(super) fn push_name(out: &mut String, name: &str) {
    let care = name.bytes().fold(0, |care, b| care | CARE[usize::from(b)] as u8);
    if care == Care::None as u8 {
        out.push_str(name);
    } else if needs_encoding(name.as_bytes()) {
        push_encoded(out, name);
    } else {
        push_escaped(out, name);
    }
}

/// Whether line protocol can't hold a name, or the name holds what the percent-encoding writes.
fn needs_encoding(name: &[u8]) -> bool {
    let is_written =
        |window: &[u8]| matches!(window, [b'%', b'0' | b'1', b'0'..=b'9' | b'A'..=b'F'] | b"%25" | b"%5C" | b"%7F");
    name.last() == Some(&b'\\') || name.iter().any(u8::is_ascii_control) || name.windows(3).any(is_written)
}

/// A column's name as written in a line, for one that line protocol can hold.
pub fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    push_escaped(&mut out, name);
    out
}

fn push_escaped(out: &mut String, name: &str) {
    for c in name.chars() {
        if matches!(c, '\\' | ',' | '=' | ' ') {
            out.push('\\');
        }
        out.push(c);
    }
}

fn push_encoded(out: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '%' | '\\' | '\0'..='\x1F' | '\x7F' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            ',' | '=' | ' ' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
}
