//! Root logger: JSON lines or text on standard error, written by a thread of its own.

use super::log_level::{AtLevel, LogLevel};
use super::log_queue::LogQueue;
use super::log_text::Visible;
use crate::runtime::setting::settings;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc;
use std::time::Duration;
use std::{panic, thread};

use serde::{Deserialize, Serialize};
use slog::{Drain, FnValue, Level, Logger, Never, PushFnValue, Record, crit, o};
use slog_async::{AsyncCore, AsyncGuard};
use slog_term::{RecordDecorator, ThreadSafeTimestampFn};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Lines that may wait for a slow reader. Beyond it lines are dropped and their number is logged: an unread log must not
/// block the node.
const WAITING_LINES: usize = 8_192;
/// Stands for a panic's message that may hold values of a message.
const HIDDEN: &str = "not shown, as it may hold values of a message; LOG_LEVEL=debug shows it";
/// Timeout of writing the last lines at exit.
const FLUSH_BOUND: Duration = Duration::from_secs(2);
/// RFC 3339 in UTC, to the millisecond.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

settings! {
    /// The `[log]` table.
    pub(crate) struct Config in "log" {
        /// Lines below it are not written. `warn` and `fatal` are understood, too.
        level: String = "info".into(), Level, "LOG_LEVEL";
        /// JSON lines for machines, text for people; both on standard error.
        format: Format = Format::Json, Choice(&["json", "text"]), "LOG_FORMAT";
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Guard of the log's thread; dropping it writes the waiting lines, within two seconds.
#[must_use = "lines are lost when the log's thread ends with the process"]
pub(crate) struct Guard {
    guard: Option<AsyncGuard>,
    level: LogLevel,
}

impl Guard {
    /// The level of the log.
    pub(crate) fn level(&self) -> LogLevel {
        self.level.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else { return };
        // The thread's end can't be awaited with a bound, so another thread waits for it.
        let (done, flushed) = mpsc::channel();
        thread::spawn(move || {
            drop(guard);
            let _ = done.send(());
        });
        let _ = flushed.recv_timeout(FLUSH_BOUND);
    }
}

/// The root logger. Lines are written by a thread of their own.
pub(crate) fn root(config: &Config) -> (Logger, Guard) {
    // `check-config` has validated the level; a configuration built in code with a wrong one gets the default.
    let level = config.level.parse().unwrap_or(Level::Info);
    match config.format {
        Format::Json => start(level, json(BufWriter::new(io::stderr()))),
        Format::Text => {
            let terminal = slog_term::TermDecorator::new().stderr().build();
            let text = slog_term::FullFormat::new(Visible(terminal))
                .use_custom_timestamp(write_timestamp)
                .use_custom_header_print(write_header)
                .use_original_order();
            start(level, text.build().ignore_res())
        }
    }
}

/// Writes panics to the log instead of standard error.
///
/// Only literal panic messages are shown above DEBUG: formatted ones could contain values of a message.
pub(crate) fn log_panics(log: &Logger) {
    let log = log.clone();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current().name().unwrap_or("unnamed").to_owned();
        let literal = panic.payload().downcast_ref::<&'static str>().copied();
        let formatted = panic.payload().downcast_ref::<String>();
        let why = literal.or_else(|| formatted.and_then(|text| exhausted(text))).unwrap_or(HIDDEN);
        crit!(log, "panic"; "thread" => thread, "place" => &place, "why" => why);
        if let Some(formatted) = formatted {
            slog::debug!(log, "panic in detail"; "place" => place, "why" => formatted);
        }
    }));
}

/// The limit of the system that a panic's message is about; such messages hold no values.
fn exhausted(message: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["Too many open files", "code: 24,"]) {
        Some("too many open files: raise the limit (ulimit -n, LimitNOFILE)")
    } else if says(&["failed to spawn thread", "Resource temporarily unavailable", "code: 11,"]) {
        Some("no further thread could be started: raise the limit of processes or threads (ulimit -u, pids limit)")
    } else {
        None
    }
}

/// The level as log pipelines spell it.
pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical => "FATAL",
        Level::Error => "ERROR",
        Level::Warning => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

fn start(level: Level, drain: impl Drain<Ok = (), Err = Never> + Send + 'static) -> (Logger, Guard) {
    let (core, guard) = AsyncCore::custom(drain).chan_size(WAITING_LINES).thread_name("log".into()).build_with_guard();
    // A closed pipe or a full disk must not stop the node.
    let level = LogLevel::new(level);
    let filtered = AtLevel { drain: LogQueue::new(core), level: level.clone() };
    (Logger::root(filtered.ignore_res(), o!()), Guard { guard: Some(guard), level })
}

/// One object per line: `ts`, `level`, `msg`, then the logger's and the record's own keys.
fn json<W: Write + Send + 'static>(out: W) -> impl Drain<Ok = (), Err = Never> + Send + 'static {
    let keys = o!(
        "msg" => PushFnValue(|record: &Record<'_>, value| value.emit(record.msg())),
        "level" => FnValue(|record: &Record<'_>| level_name(record.level())),
        "ts" => FnValue(|_: &Record<'_>| timestamp()),
    );
    slog_json::Json::new(out).set_flush(true).add_key_value(keys).build().ignore_res()
}

/// Now, as log lines have it.
pub(super) fn timestamp() -> Option<String> {
    OffsetDateTime::now_utc().format(TIMESTAMP).ok()
}

/// What stands before the keys of a line of text: time, level, message. Whether there is a message.
fn write_header(
    timestamp: &dyn ThreadSafeTimestampFn<Output = io::Result<()>>,
    mut line: &mut dyn RecordDecorator,
    record: &Record<'_>,
    _with_location: bool,
) -> io::Result<bool> {
    line.start_timestamp()?;
    timestamp(&mut line)?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_level()?;
    write!(line, "{:<5}", level_name(record.level()))?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_msg()?;
    let message = record.msg().to_string();
    write!(line, "{message}")?;
    Ok(!message.is_empty())
}

fn write_timestamp(out: &mut dyn Write) -> io::Result<()> {
    OffsetDateTime::now_utc().format_into(&mut &mut *out, TIMESTAMP).map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;
    use slog::{debug, info, warn};

    use super::*;
    use crate::runtime::log_queue::dropped;

    /// A log's output that a test can read.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn lines(&self) -> Vec<Value> {
            let bytes = self.0.lock().clone();
            String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that is gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn dropping_the_guard_writes_every_waiting_line() {
        let out = Shared::default();
        let (log, guard) = start(Level::Info, json(out.clone()));
        let writer = log.new(o!("actor" => "writer"));
        for number in 0..1_000 {
            info!(writer, "batch committed"; "rows" => number, "table" => "raw_events");
        }
        debug!(writer, "below the level");
        drop(guard);
        let lines = out.lines();
        assert_eq!(lines.len(), 1_000);
        let last = &lines[999];
        assert_eq!(last["msg"], "batch committed");
        assert_eq!(last["level"], "INFO");
        assert_eq!(last["actor"], "writer");
        assert_eq!(last["rows"], 999);
        let ts = last["ts"].as_str().unwrap();
        assert!(ts.len() == 24 && ts.ends_with('Z') && ts.as_bytes()[10] == b'T', "{ts}");
    }

    #[test]
    fn levels_are_spelled_as_log_pipelines_know_them() {
        let names = [Level::Trace, Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        assert_eq!(names.map(level_name), ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]);
        let out = Shared::default();
        let (log, guard) = start(Level::Info, json(out.clone()));
        warn!(log, "doubtful");
        crit!(log, "lost");
        drop(guard);
        assert_eq!(out.lines().iter().map(|line| line["level"].clone()).collect::<Vec<_>>(), ["WARN", "FATAL"]);
    }

    #[test]
    fn a_limit_of_the_system_is_named_where_other_messages_are_hidden() {
        let files = r#"Failed: Os { code: 24, kind: Uncategorized, message: "Too many open files" }"#;
        assert!(exhausted(files).is_some_and(|why| why.starts_with("too many open files")));
        let threads = r#"failed to spawn thread: Os { code: 11, kind: WouldBlock, message: "..." }"#;
        assert!(exhausted(threads).is_some_and(|why| why.starts_with("no further thread")));
        assert_eq!(exhausted("the value is 24"), None);
    }

    #[test]
    fn a_reader_that_is_gone_stops_nothing() {
        let (log, guard) = start(Level::Info, json(Closed));
        warn!(log, "nobody reads this");
        drop(guard);
        warn!(log, "nor this");
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up() {
        /// Accepts nothing until it is released.
        struct Stuck(Arc<Mutex<()>>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _released = self.0.lock();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let (log, guard) = start(Level::Info, json(Stuck(gate.clone())));
        // Far more than may wait: with a blocking log this loop would never end.
        for number in 0..3 * WAITING_LINES {
            info!(log, "stuck"; "number" => number);
        }
        assert!(dropped() > 0, "what is dropped is counted");
        drop(closed);
        drop(guard);
    }
}
