//! Start of a period, as operators type it: `2h`, `3d` or a timestamp.

use crate::message::timestamp;

/// The start that a text names, in Unix microseconds: a duration (`90s`, `15m`, `1d 12h`) is that long before `now_us`; anything else is
/// ISO 8601 text. `None` where it is neither.
pub fn since(text: &str, now_us: i64) -> Option<i64> {
    match humantime::parse_duration(text) {
        Ok(ago) => now_us.checked_sub(i64::try_from(ago.as_micros()).ok()?),
        Err(_) => timestamp::from_text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_770_628_523_045_000;

    #[test]
    fn a_duration_is_counted_back_from_now() {
        for (text, secs) in
            [("0s", 0), ("90s", 90), ("15m", 900), ("2h", 7_200), ("3d", 259_200), ("1w", 604_800), ("1h 30m", 5_400)]
        {
            assert_eq!(since(text, NOW), Some(NOW - secs * 1_000_000), "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_itself() {
        assert_eq!(since("1970-01-02", NOW), Some(86_400_000_000));
        assert_eq!(since("1970-01-01T00:00:01Z", NOW), Some(1_000_000));
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "h", "2", "-2h", "+2h", "soon", "é", "2é", "9223372036854775807w"] {
            assert_eq!(since(text, NOW), None, "{text}");
        }
    }
}
