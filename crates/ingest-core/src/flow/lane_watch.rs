//! Lane watchdog: detects a lane that seems healthy but does not work. Messages are pending and none arrives, or acks have
//! no effect.

/// How long nothing arrives before that counts as a fault.
const BOUND_MS: u64 = 30_000;

/// How long acknowledgements have no effect before that counts as one: it is to show within half a minute, and the broker's floor is read
/// now and then.
pub const ACKS_BOUND_SECS: u64 = 25;

/// The consumer's backlog as the broker reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerBacklog {
    /// Messages that were never delivered.
    pub pending: u64,
    /// Every message up to this sequence number of the stream is acknowledged.
    pub ack_floor: u64,
}

/// Fault of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneFault {
    /// Messages are pending, there is credit for them, and none arrives.
    Starved,
    /// The broker does not count acknowledged messages as acknowledged.
    AcksIgnored,
}

/// The watchdog of one lane. Times are milliseconds of any monotonic clock.
#[derive(Debug, Default)]
pub struct LaneWatch {
    waiting_since_ms: Option<u64>,
    acked: Option<Acked>,
}

/// The oldest message that was acknowledged beyond the broker's floor.
#[derive(Debug)]
struct Acked {
    stream_seq: u64,
    since_ms: u64,
    /// It was delivered again although it was acknowledged.
    came_again: bool,
}

impl LaneWatch {
    /// A message has arrived.
    pub fn received(&mut self, stream_seq: u64) {
        self.waiting_since_ms = None;
        if let Some(acked) = self.acked.as_mut().filter(|acked| acked.stream_seq == stream_seq) {
            acked.came_again = true;
        }
    }

    /// A message was acknowledged.
    pub fn acknowledged(&mut self, stream_seq: u64, now_ms: u64) {
        if self.acked.as_ref().is_none_or(|acked| stream_seq < acked.stream_seq) {
            self.acked = Some(Acked { stream_seq, since_ms: now_ms, came_again: false });
        }
    }

    /// Checks the backlog; `has_credit`: the lane may receive more.
    pub fn check(&mut self, backlog: ConsumerBacklog, has_credit: bool, now_ms: u64) -> Option<LaneFault> {
        if backlog.pending == 0 || !has_credit {
            self.waiting_since_ms = None;
        }
        if self.acked.as_ref().is_some_and(|acked| acked.stream_seq <= backlog.ack_floor) {
            self.acked = None;
        }
        // Another unsettled message may hold the floor, of this replica or of another one: only the next one is certain.
        let is_next = |acked: &Acked| acked.stream_seq == backlog.ack_floor + 1 || acked.came_again;
        let lasts = |since_ms: u64, bound_ms: u64| now_ms.saturating_sub(since_ms) >= bound_ms;
        if self.acked.as_ref().is_some_and(|acked| is_next(acked) && lasts(acked.since_ms, ACKS_BOUND_SECS * 1_000)) {
            return Some(LaneFault::AcksIgnored);
        }
        if backlog.pending > 0 && has_credit && lasts(*self.waiting_since_ms.get_or_insert(now_ms), BOUND_MS) {
            return Some(LaneFault::Starved);
        }
        None
    }

    /// Forgets everything (another consumer).
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKS_BOUND_MS: u64 = ACKS_BOUND_SECS * 1_000;

    fn backlog(pending: u64, ack_floor: u64) -> ConsumerBacklog {
        ConsumerBacklog { pending, ack_floor }
    }

    #[test]
    fn a_lane_with_pending_messages_and_credit_that_receives_nothing_is_starved() {
        let mut watch = LaneWatch::default();
        assert_eq!(watch.check(backlog(5, 0), true, 0), None);
        assert_eq!(watch.check(backlog(5, 0), true, BOUND_MS - 1), None);
        assert_eq!(watch.check(backlog(5, 0), true, BOUND_MS), Some(LaneFault::Starved));
        watch.received(1);
        assert_eq!(watch.check(backlog(5, 0), true, BOUND_MS + 1), None);
    }

    #[test]
    fn neither_an_empty_stream_nor_a_full_window_starves_a_lane() {
        let mut watch = LaneWatch::default();
        for now_ms in [0, BOUND_MS, 2 * BOUND_MS] {
            assert_eq!(watch.check(backlog(0, 0), true, now_ms), None);
            assert_eq!(watch.check(backlog(5, 0), false, now_ms), None);
        }
    }

    #[test]
    fn acknowledgements_that_do_not_move_the_floor_are_noticed() {
        let mut watch = LaneWatch::default();
        watch.acknowledged(2, 0);
        watch.acknowledged(1, 0);
        assert_eq!(watch.check(backlog(0, 0), true, ACKS_BOUND_MS - 1), None);
        assert_eq!(watch.check(backlog(0, 0), true, ACKS_BOUND_MS), Some(LaneFault::AcksIgnored));
        assert_eq!(watch.check(backlog(0, 2), true, ACKS_BOUND_MS), None);
    }

    #[test]
    fn a_floor_that_another_message_holds_is_no_fault_unless_the_acknowledged_one_comes_again() {
        let mut watch = LaneWatch::default();
        watch.acknowledged(5, 0);
        assert_eq!(watch.check(backlog(0, 2), true, BOUND_MS), None);
        watch.received(5);
        assert_eq!(watch.check(backlog(0, 2), true, BOUND_MS), Some(LaneFault::AcksIgnored));
    }
}
