//! ISO 8601 text, parsed in place.

use super::calendar::{DAY_US, SECOND_US, days_from_civil, instant, is_leap};

/// ISO 8601 text as Unix microseconds.
///
/// - Date: `YYYY-MM-DD`, `YYYYMMDD`, week (`YYYY-Www-D`, `YYYYWwwD`, the day may be missing), ordinal (`YYYY-DDD`,
///   `YYYYDDD`), and without a time also `YYYY` and `YYYY-MM`.
/// - `T` (or `t`, or a blank), then `hh`, `hh:mm`, `hhmm`, `hh:mm:ss` or `hhmmss`; seconds may have a fraction after a
///   point or a comma, of which digits beyond the microsecond are cut off. `24:00` is the end of the day.
/// - Offset: `Z` (or `z`), `±hh`, `±hhmm`, `±hh:mm`; none means UTC.
///
/// `None`: any other text (also digits that would be an epoch number), a day, hour, minute or second that does not
/// exist (a leap second `:60` among them), an instant outside the years 1 to 9999 (UTC).
pub fn from_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    common(bytes).or_else(|| general(bytes))
}

/// The form that nearly every device sends, `YYYY-MM-DDThh:mm:ss[.f+](Z|±hh:mm)`: a fast path, as nearly every
/// message takes it.
fn common(bytes: &[u8]) -> Option<i64> {
    let (head, tail) = bytes.split_first_chunk::<19>()?;
    if head[4] != b'-' || head[7] != b'-' || head[10] != b'T' || head[13] != b':' || head[16] != b':' {
        return None;
    }
    let year = two(head[0], head[1])? * 100 + two(head[2], head[3])?;
    let day = days_from_civil(year, two(head[5], head[6])?, two(head[8], head[9])?)?;
    let (hour, minute, second) = (two(head[11], head[12])?, two(head[14], head[15])?, two(head[17], head[18])?);
    let (fraction_us, zone) = fraction(tail);
    let offset = match *zone {
        [b'Z'] => 0,
        [sign, h1, h2, b':', m1, m2] => offset_seconds(sign, two(h1, h2)?, two(m1, m2)?)?,
        _ => return None,
    };
    instant(day, time_of_day(hour, minute, second, fraction_us)?, offset)
}

/// Every form of [`from_text`].
fn general(bytes: &[u8]) -> Option<i64> {
    let (day, rest) = date(bytes)?;
    let Some((separator, time)) = rest.split_first() else {
        return instant(day, 0, 0);
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let clock_end = time.iter().position(|b| matches!(b, b'Z' | b'z' | b'+' | b'-')).unwrap_or(time.len());
    let (clock, zone) = time.split_at(clock_end);
    instant(day, clock_time(clock)?, zone_seconds(zone)?)
}

/// A date of any form: its day number, and the text behind it. `YYYY` and `YYYY-MM` have nothing behind them.
fn date(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = number(bytes, 4)?;
    if rest.is_empty() {
        return Some((days_from_civil(year, 1, 1)?, rest));
    }
    let (dashed, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if let Some(rest) = rest.strip_prefix(b"W") {
        return week_date(year, rest, dashed);
    }
    calendar_date(year, rest, dashed).or_else(|| ordinal_date(year, rest))
}

/// What follows the year in `YYYY-MM-DD`, `YYYYMMDD` and `YYYY-MM`.
fn calendar_date(year: i64, bytes: &[u8], dashed: bool) -> Option<(i64, &[u8])> {
    let (month, rest) = number(bytes, 2)?;
    if dashed && rest.is_empty() {
        return Some((days_from_civil(year, month, 1)?, rest));
    }
    let rest = if dashed { rest.strip_prefix(b"-")? } else { rest };
    let (day, rest) = number(rest, 2)?;
    Some((days_from_civil(year, month, day)?, rest))
}

/// What follows the year in `YYYY-DDD` and `YYYYDDD`.
fn ordinal_date(year: i64, bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (ordinal, rest) = number(bytes, 3)?;
    let last = if is_leap(year) { 366 } else { 365 };
    let first_day = days_from_civil(year, 1, 1)?;
    (1..=last).contains(&ordinal).then_some((first_day + ordinal - 1, rest))
}

/// What follows the `W` in `YYYY-Www-D` and `YYYYWwwD`.
fn week_date(year: i64, bytes: &[u8], dashed: bool) -> Option<(i64, &[u8])> {
    let (week, rest) = number(bytes, 2)?;
    let (weekday, rest) = match rest {
        [] => (1, rest),
        _ => number(if dashed { rest.strip_prefix(b"-")? } else { rest }, 1)?,
    };
    if !(1..=53).contains(&week) || !(1..=7).contains(&weekday) {
        return None;
    }
    // Week 1 is the one that holds January 4th. Day 0 (1970-01-01) was a Thursday, 3 days after a Monday.
    let january_4 = days_from_civil(year, 1, 4)?;
    let monday = january_4 - (january_4 + 3).rem_euclid(7);
    Some((monday + (week - 1) * 7 + weekday - 1, rest))
}

/// `hh`, `hh:mm`, `hhmm`, `hh:mm:ss[.f+]`, `hhmmss[.f+]`: microseconds of the day.
fn clock_time(bytes: &[u8]) -> Option<i64> {
    let (hour, rest) = number(bytes, 2)?;
    if rest.is_empty() {
        return time_of_day(hour, 0, 0, 0);
    }
    let (coloned, rest) = match rest.strip_prefix(b":") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (minute, rest) = number(rest, 2)?;
    if rest.is_empty() {
        return time_of_day(hour, minute, 0, 0);
    }
    let (second, rest) = number(if coloned { rest.strip_prefix(b":")? } else { rest }, 2)?;
    let (fraction_us, rest) = fraction(rest);
    if rest.is_empty() { time_of_day(hour, minute, second, fraction_us) } else { None }
}

/// Nothing, `Z`, `±hh`, `±hhmm` or `±hh:mm`, in seconds east of UTC.
fn zone_seconds(bytes: &[u8]) -> Option<i64> {
    match *bytes {
        [] | [b'Z' | b'z'] => Some(0),
        [sign, h1, h2] => offset_seconds(sign, two(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => offset_seconds(sign, two(h1, h2)?, two(m1, m2)?),
        _ => None,
    }
}

fn offset_seconds(sign: u8, hours: i64, minutes: i64) -> Option<i64> {
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 3600 + minutes * 60),
        b'-' => Some(-(hours * 3600 + minutes * 60)),
        _ => None,
    }
}

/// A point or comma with digits: microseconds (further digits are cut off) and what follows. Without one: zero, all.
fn fraction(bytes: &[u8]) -> (i64, &[u8]) {
    let Some((b'.' | b',', digits)) = bytes.split_first() else {
        return (0, bytes);
    };
    let mut microseconds = 0;
    let mut unit = SECOND_US;
    let mut length = 0;
    while let Some(digit) = digits.get(length).map(|b| b.wrapping_sub(b'0')).filter(|d| *d <= 9) {
        unit /= 10;
        microseconds += i64::from(digit) * unit;
        length += 1;
    }
    if length == 0 { (0, bytes) } else { (microseconds, &digits[length..]) }
}

/// Microseconds of the day. 24:00 exists, nothing after it does.
fn time_of_day(hour: i64, minute: i64, second: i64, fraction_us: i64) -> Option<i64> {
    let time_us = (hour * 3600 + minute * 60 + second) * SECOND_US + fraction_us;
    (minute < 60 && second < 60 && time_us <= DAY_US).then_some(time_us)
}

/// `length` digits at the beginning, and what follows them.
fn number(bytes: &[u8], length: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(length)?;
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some((value, rest))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then_some(i64::from(tens) * 10 + i64::from(ones))
}
