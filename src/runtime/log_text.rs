//! Text of the log for people: names from outside can neither begin a line nor control a terminal.

use std::io::{self, Write};

use slog::{OwnedKVList, Record};
use slog_term::{Decorator, RecordDecorator};

use ingest_core::message::visible::visible;

/// Escapes in messages and values what is no visible character.
pub(super) struct Visible<D>(pub D);

impl<D: Decorator> Decorator for Visible<D> {
    fn with_record<F>(&self, record: &Record<'_>, values: &OwnedKVList, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        self.0.with_record(record, values, |line| write(&mut Line { line, is_from_outside: false }))
    }
}

/// A line, of which the parts that may hold anything are known.
struct Line<'a> {
    line: &'a mut dyn RecordDecorator,
    is_from_outside: bool,
}

impl Line<'_> {
    /// What comes now is the log's own, up to the next message or value.
    fn own(&mut self) -> &mut dyn RecordDecorator {
        self.is_from_outside = false;
        self.line
    }

    fn outsiders(&mut self) -> &mut dyn RecordDecorator {
        self.is_from_outside = true;
        self.line
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_from_outside {
            return self.line.write(bytes);
        }
        // Formatted text comes in whole characters.
        self.line.write_all(visible(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

impl RecordDecorator for Line<'_> {
    fn reset(&mut self) -> io::Result<()> {
        self.own().reset()
    }

    fn start_whitespace(&mut self) -> io::Result<()> {
        self.own().start_whitespace()
    }

    fn start_msg(&mut self) -> io::Result<()> {
        self.outsiders().start_msg()
    }

    fn start_timestamp(&mut self) -> io::Result<()> {
        self.own().start_timestamp()
    }

    fn start_level(&mut self) -> io::Result<()> {
        self.own().start_level()
    }

    fn start_comma(&mut self) -> io::Result<()> {
        self.own().start_comma()
    }

    fn start_key(&mut self) -> io::Result<()> {
        self.outsiders().start_key()
    }

    fn start_value(&mut self) -> io::Result<()> {
        self.outsiders().start_value()
    }

    fn start_location(&mut self) -> io::Result<()> {
        self.own().start_location()
    }

    fn start_separator(&mut self) -> io::Result<()> {
        self.own().start_separator()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use slog::{Drain, Logger, info, o};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_name_from_outside_is_one_line_and_moves_no_cursor() {
        let out = Shared::default();
        let plain = slog_term::PlainSyncDecorator::new(out.clone());
        let drain = slog_term::FullFormat::new(Visible(plain)).use_original_order().build().ignore_res();
        let log = Logger::root(drain, o!("component" => "x"));
        info!(log, "stored"; "device" => "dev\n2026-01-01 ERROR forged\x1b[2J", "tenant" => "acme é");
        let text = String::from_utf8(out.0.lock().clone()).unwrap();
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{text}");
        assert!(
            text.contains("device: dev\\n2026-01-01 ERROR forged\\u{1b}[2J") && text.contains("tenant: acme é"),
            "{text}"
        );
    }
}
