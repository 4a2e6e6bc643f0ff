//! The last word of `run`: why it does not start, or why it ends otherwise than drained, after or without the log.

use std::io::{self, Write};

use serde_json::json;
use slog::Level;

use super::exit::Exit;
use super::logging::{Format, level_name, timestamp};
use super::terminal::print_error;

/// Writes one sentence to standard error, in the form of the log: a JSON object like those of the log, or plain text.
pub(crate) fn print_last_word(format: Format, exit: Exit, sentence: &str) {
    match format {
        Format::Json => {
            let _ = writeln!(io::stderr(), "{}", json_line(exit, sentence));
        }
        Format::Text => print_error(sentence),
    }
}

fn json_line(exit: Exit, sentence: &str) -> serde_json::Value {
    json!({"msg": sentence, "level": level_name(Level::Critical), "ts": timestamp(), "exit_code": exit as u8})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_of_the_logs_shape() {
        let line = json_line(Exit::Config, "BATCH_SIZE must be\na \"number\"").to_string();
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["level"].as_str(), value["exit_code"].as_u64()), (Some("FATAL"), Some(64)));
        assert_eq!(value["msg"], "BATCH_SIZE must be\na \"number\"");
        assert!(value["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')));
    }
}
