//! The lines of a tap, from the pieces that arrive.

use serde::Deserialize;
use thiserror::Error;

use ingest_core::message::visible::json_visible;

/// Longest line: a sample's content is 8 KiB, escaped.
const LONGEST: usize = 1024 * 1024;

/// A line of a tap.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A message, harmless to a terminal.
    Sample(String),
    /// So many messages could not be shown so far.
    Dropped(u64),
    /// The tap has ended by itself.
    End,
    /// The node ends.
    Drain,
}

/// The node sends what is no tap.
#[derive(Debug, Error)]
#[error("a line of more than {LONGEST} bytes: this is no tap of ingest-node")]
pub(super) struct TooLong;

/// Bytes of which no line was made yet.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

#[derive(Deserialize)]
struct Told {
    dropped: Option<u64>,
    end: Option<String>,
}

impl Lines {
    /// The lines that are complete with this piece.
    ///
    /// # Errors
    /// Where one has no end.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Line>, TooLong> {
        self.0.extend_from_slice(piece);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            lines.extend(read(&String::from_utf8_lossy(&line[..end])));
        }
        if self.0.len() > LONGEST { Err(TooLong) } else { Ok(lines) }
    }
}

/// `None` for an empty line, which says that the node is there.
fn read(line: &str) -> Option<Line> {
    if line.trim().is_empty() {
        return None;
    }
    Some(match serde_json::from_str(line) {
        Ok(Told { end: Some(end), .. }) if end == "drain" => Line::Drain,
        Ok(Told { end: Some(_), .. }) => Line::End,
        Ok(Told { dropped: Some(dropped), .. }) => Line::Dropped(dropped),
        _ => Line::Sample(json_visible(line)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces_and_nothing_reaches_the_terminal() {
        let mut lines = Lines::default();
        let sample = Line::Sample("{\"topic\":\"a\\u009b\"}".to_owned());
        assert_eq!(lines.push("\n{\"topic\":".as_bytes()).unwrap(), []);
        assert_eq!(lines.push("\"a\u{9b}\"}\n\n{\"dro".as_bytes()).unwrap(), [sample]);
        assert_eq!(
            lines.push(b"pped\":3}\n{\"end\":\"limit\",\"dropped\":3}\n").unwrap(),
            [Line::Dropped(3), Line::End]
        );
        assert_eq!(lines.push(b"{\"end\":\"drain\"}\n").unwrap(), [Line::Drain]);
        assert!(lines.push(&vec![b'x'; LONGEST + 1]).is_err());
    }
}
