//! A step: one thing that happened, or that holds now.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The stream.
    Stream,
    /// The consumer.
    Consumer,
    /// PostgreSQL: rows, quarantine, counters, states.
    Postgres,
    /// The outbox, in PostgreSQL.
    Outbox,
    /// The registry, in PostgreSQL.
    Registry,
    /// The pipeline's checks, of now.
    Checks,
}

impl Source {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Stream => "stream",
            Source::Consumer => "consumer",
            Source::Postgres => "postgresql",
            Source::Outbox => "outbox",
            Source::Registry => "registry",
            Source::Checks => "checks",
        }
    }
}

/// One thing that happened, or that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, Unix microseconds; `None`: now.
    pub at_us: Option<i64>,
    /// Who says it.
    pub source: Source,
    /// What, for people.
    pub text: String,
}

impl Step {
    /// Its time as text, `now` where it has none.
    pub fn when(&self) -> String {
        self.at_us.map_or_else(|| "now".to_owned(), iso)
    }
}

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A time as ISO 8601 text, UTC, to the microsecond.
pub(super) fn iso(at_us: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000).ok();
    at.and_then(|at| at.format(FORMAT).ok()).unwrap_or_else(|| format!("{at_us} us after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_iso_8601_and_one_that_no_calendar_has_is_a_number() {
        assert_eq!(iso(1_795_219_200_123_456), "2026-11-21T00:00:00.123456Z");
        assert_eq!(iso(i64::MAX), "9223372036854775807 us after 1970");
    }
}
