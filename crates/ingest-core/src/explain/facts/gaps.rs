//! What is on record of a device's numbers, and of its silence.

use crate::message::timestamp::to_text as iso;

/// Gaps that are named.
const MOST_GAPS: usize = 5;

/// The numbers of a device's messages, and its silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// The highest number; `None`: no message had one.
    pub last_seq: Option<i64>,
    /// Numbers that are counted as missing.
    pub missing: i64,
    /// Gaps, the lowest first: first and last number of each.
    pub ranges: Vec<(i64, i64)>,
    /// Numbers that came late.
    pub late: i64,
    /// Readings with a number that had come before.
    pub repeats: i64,
    /// How often it began to count again.
    pub resets: i64,
    /// Its usual interval in milliseconds, where it is known.
    pub usual_interval_ms: Option<i64>,
    /// When its latest message came, Unix microseconds.
    pub last_seen_us: Option<i64>,
    /// Since when it is silent, Unix microseconds.
    pub silent_since_us: Option<i64>,
}

impl Gaps {
    /// What is to be said of it; `None` where everything came and it sends as usual.
    pub fn text(&self) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(last) = self.last_seq.filter(|_| !self.ranges.is_empty() || self.missing > 0) {
            let named = self.ranges.iter().rev().take(MOST_GAPS).rev();
            let gaps: Vec<String> = named.map(|(first, end)| range(*first, *end)).collect();
            let more = if self.ranges.len() > MOST_GAPS { "the newest: " } else { "" };
            let gaps = if gaps.is_empty() { String::new() } else { format!(" ({more}{})", gaps.join(", ")) };
            parts.push(format!("of its numbers up to {last} {} are counted as missing{gaps}", self.missing));
        }
        for (count, what) in [(self.late, "came late"), (self.repeats, "came again"), (self.resets, "resets")] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if let Some(since) = self.silent_since_us {
            let usual =
                self.usual_interval_ms.map_or_else(String::new, |ms| format!(", its usual interval is {ms} ms"));
            let last = self.last_seen_us.map_or_else(String::new, |seen| format!(", last heard at {}", iso(seen)));
            parts.push(format!("silent since {}{last}{usual}", iso(since)));
        }
        (!parts.is_empty()).then(|| format!("device_gaps: {}", parts.join("; ")))
    }
}

fn range(first: i64, last: i64) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_which_everything_came_is_not_mentioned() {
        let whole = Gaps { last_seq: Some(9), usual_interval_ms: Some(10_000), ..Gaps::default() };
        assert_eq!(whole.text(), None);
    }

    #[test]
    fn gaps_are_named_the_newest_last_and_silence_with_its_moment() {
        let ranges = vec![(1, 1), (3, 4), (6, 6), (8, 8), (10, 12), (14, 15)];
        let gaps = Gaps { last_seq: Some(20), missing: 8, ranges, repeats: 2, ..Gaps::default() };
        assert_eq!(
            gaps.text().unwrap(),
            "device_gaps: of its numbers up to 20 8 are counted as missing (the newest: 3-4, 6, 8, 10-12, 14-15); 2 came again"
        );
        let silent = Gaps {
            usual_interval_ms: Some(500),
            last_seen_us: Some(1_795_219_200_000_000),
            silent_since_us: Some(1_795_219_260_000_000),
            ..Gaps::default()
        };
        let text = silent.text().unwrap();
        assert!(text.starts_with("device_gaps: silent since 2026-11-21T00:01:00"), "{text}");
        assert!(text.ends_with("its usual interval is 500 ms"), "{text}");
    }
}
