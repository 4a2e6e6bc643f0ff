//! Text for a terminal: what devices sent is shown, never obeyed.

/// Most characters of a name within a sentence.
const MOST_NAME_CHARS: usize = 80;

/// The text with everything escaped that could move a cursor or turn the direction of writing.
pub fn visible(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            out.extend(c.escape_default());
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
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(name(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(name(&"é".repeat(81)), "é".repeat(80) + "…");
    }
}
