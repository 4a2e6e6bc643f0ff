//! Text for a terminal: what devices sent is shown, never obeyed.

use std::fmt::Write;

/// Most characters of a name within a sentence.
const MOST_NAME_CHARS: usize = 80;

/// The text with everything escaped that could move a cursor or turn the direction of writing.
pub fn visible(text: &str) -> String {
    escaped(text, |out, c| out.extend(c.escape_default()))
}

/// JSON text in which no string has such a character: they are escaped as JSON has it. Between the values of the text there must
/// be none.
pub fn json_visible(text: &str) -> String {
    // Writing to a String never fails. All of these characters are below U+10000.
    escaped(text, |out, c| write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default())
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// A name that a stranger chose, for a sentence: visible, and cut where it is long.
pub fn name(text: &str) -> String {
    match text.char_indices().nth(MOST_NAME_CHARS) {
        None => visible(text),
        Some((end, _)) => visible(&text[..end]) + "…",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_sent_does_not_reach_the_terminal() {
        assert_eq!(visible("a\u{1b}[2J\nb\u{9b}\u{202e}é"), "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}é");
    }

    #[test]
    fn json_stays_json() {
        let shown = json_visible("{\"a\":\"\u{9b}2J\u{202e}é\"}");
        assert_eq!(shown, r#"{"a":"\u009b2J\u202eé"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["a"], "\u{9b}2J\u{202e}é");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(name(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(name(&"é".repeat(81)), "é".repeat(80) + "…");
    }
}
