//! Age of the oldest unsettled message of a consumer.
//!
//! The broker reports the ack floor, below which everything is settled. The first message of the stream above it that the
//! consumer is to deliver is the oldest unsettled one, so its time has to be looked up once for each floor. While it can't be
//! looked up, the age is not known.

use std::time::Duration;

/// How long a message's time counts: a message may expire from the stream without moving the floor.
const RENEW_MS: u64 = 30_000;

/// The oldest unsettled message of one consumer, as far as it is known. Times ending in `_ms` are milliseconds of any monotonic
/// clock, those in `_us` Unix microseconds.
#[derive(Debug, Default)]
pub struct OldestUnsettled {
    /// `None` while nothing is unsettled.
    first: Option<First>,
    paused_until_ms: u64,
}

/// The first message above an ack floor.
#[derive(Debug)]
struct First {
    floor: u64,
    sent_us: Option<i64>,
    look_up_ms: u64,
}

impl OldestUnsettled {
    /// The broker's ack floor, and whether any message is unsettled.
    pub fn seen(&mut self, floor: u64, is_unsettled: bool, now_ms: u64) {
        if !is_unsettled {
            self.first = None;
        } else if self.first.as_ref().is_none_or(|first| first.floor != floor) {
            self.first = Some(First { floor, sent_us: None, look_up_ms: now_ms });
        }
    }

    /// The sequence number from which on the message has to be looked up now; `None` where its time is known, or there is
    /// none.
    pub fn look_up(&self, now_ms: u64) -> Option<u64> {
        let first = self.first.as_ref()?;
        (now_ms >= first.look_up_ms && now_ms >= self.paused_until_ms).then_some(first.floor + 1)
    }

    /// The result of a look-up: when the message was stored; `None` where the stream has none.
    pub fn found(&mut self, sent_us: Option<i64>, now_ms: u64) {
        if let Some(first) = &mut self.first {
            first.sent_us = sent_us;
            first.look_up_ms = now_ms + RENEW_MS;
        }
    }

    /// A look-up failed: the next one is due after a pause, for whichever floor.
    pub fn failed(&mut self, pause: Duration, now_ms: u64) {
        self.paused_until_ms = now_ms + pause.as_millis() as u64;
    }

    /// Ends the pause after a failed look-up: the next one may succeed, as on a new connection.
    pub fn resume(&mut self) {
        self.paused_until_ms = 0;
    }

    /// The age now: zero where nothing is unsettled, `None` where it is not known.
    pub fn age(&self, now_us: i64) -> Option<Duration> {
        match &self.first {
            None => Some(Duration::ZERO),
            Some(first) => {
                let age_us = now_us.saturating_sub(first.sent_us?);
                Some(Duration::from_micros(u64::try_from(age_us).unwrap_or(0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000;

    fn secs(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    #[test]
    fn nothing_unsettled_has_no_age_and_needs_no_look_up() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, false, 0);
        assert_eq!((oldest.look_up(0), oldest.age(9_000_000)), (None, secs(0)));
    }

    #[test]
    fn one_look_up_for_each_floor_gives_an_age_that_grows() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, true, 0);
        assert_eq!(oldest.look_up(0), Some(8));
        oldest.found(Some(1_000_000), 0);
        oldest.seen(7, true, S);
        assert_eq!((oldest.look_up(S), oldest.age(5_000_000)), (None, secs(4)));
        assert_eq!(oldest.age(7_000_000), secs(6));
        oldest.seen(9, true, 4 * S);
        assert_eq!(oldest.look_up(4 * S), Some(10));
    }

    #[test]
    fn a_message_that_arrives_at_an_old_floor_is_looked_up_again() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, true, 0);
        oldest.found(Some(1_000_000), 0);
        oldest.seen(7, false, S);
        oldest.seen(7, true, 2 * S);
        assert_eq!((oldest.look_up(2 * S), oldest.age(9_000_000)), (Some(8), None));
    }

    #[test]
    fn a_message_that_has_expired_is_noticed_after_a_while() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, true, 0);
        oldest.found(Some(0), 0);
        assert_eq!(oldest.look_up(RENEW_MS - 1), None);
        assert_eq!(oldest.look_up(RENEW_MS), Some(8));
        assert_eq!(oldest.age(30_000_000), secs(30), "the old answer counts until the new one");
        oldest.found(None, RENEW_MS);
        assert_eq!(oldest.age(30_000_000), None);
    }

    #[test]
    fn without_look_ups_the_age_is_not_known() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, true, S);
        oldest.failed(Duration::from_secs(60), S);
        assert_eq!((oldest.look_up(2 * S), oldest.age(100_000_000)), (None, None));
        oldest.seen(8, true, 5 * S);
        assert_eq!((oldest.look_up(5 * S), oldest.age(100_000_000)), (None, None), "whichever the floor");
        assert_eq!(oldest.look_up(61 * S), Some(9));
        oldest.resume();
        assert_eq!(oldest.look_up(5 * S), Some(9));
    }

    #[test]
    fn a_clock_behind_the_brokers_makes_no_negative_age() {
        let mut oldest = OldestUnsettled::default();
        oldest.seen(7, true, 0);
        oldest.found(Some(2_000_000), 0);
        assert_eq!(oldest.age(1_000_000), secs(0));
    }
}
