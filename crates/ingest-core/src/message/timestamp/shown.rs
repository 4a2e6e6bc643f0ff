//! Times as people read them.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A time as ISO 8601 text, UTC, to the microsecond; a number where no calendar has it.
pub fn to_text(at_us: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000).ok();
    at.and_then(|at| at.format(FORMAT).ok()).unwrap_or_else(|| format!("{at_us} us after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_iso_8601_and_one_that_no_calendar_has_is_a_number() {
        assert_eq!(to_text(1_795_219_200_123_456), "2026-11-21T00:00:00.123456Z");
        assert_eq!(to_text(i64::MAX), "9223372036854775807 us after 1970");
    }
}
