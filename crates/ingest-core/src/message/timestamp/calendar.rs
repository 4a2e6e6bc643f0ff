//! The Gregorian calendar in Unix microseconds, for the years 1 to 9999.

/// Microseconds in a second.
pub(super) const SECOND_US: i64 = 1_000_000;
/// Microseconds in a day.
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;
/// 0001-01-01T00:00:00Z. Years 1 to 9999 are what ISO 8601 text can name, and PostgreSQL holds them all.
const EARLIEST_US: i64 = -62_135_596_800 * SECOND_US;
/// 9999-12-31T23:59:59.999999Z.
const LATEST_US: i64 = 253_402_300_800 * SECOND_US - 1;

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` for a date that does not exist.
///
/// Counts in years that begin in March, so that a leap day is the last day of its year.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let last = match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if year < 1 || day < 1 || day > last {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

pub(super) fn instant(day: i64, time_us: i64, offset_seconds: i64) -> Option<i64> {
    in_range(day * DAY_US + time_us - offset_seconds * SECOND_US)
}

pub(super) fn in_range(at_us: i64) -> Option<i64> {
    (EARLIEST_US..=LATEST_US).contains(&at_us).then_some(at_us)
}
