//! Signs that a lane which looks well does not work: messages wait and none comes, or acknowledgements have no effect.

/// So long it may go on before it counts.
const BOUND_MS: u64 = 30_000;

/// What the broker says of the consumer, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxBacklog {
    /// Messages not delivered to anyone yet.
    pub pending: u64,
    /// Every message up to this sequence number of the stream is acknowledged.
    pub ack_floor: u64,
}

/// What is wrong with a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// Messages wait, there is room for them, and none comes.
    Starved,
    /// What was acknowledged is not acknowledged as the broker sees it.
    AcksIgnored,
}

/// Watches one lane. Times are milliseconds of any clock that only goes forward.
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
    /// It came again although it was acknowledged.
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

    /// Looks at what the broker says; `has_room` = the lane has credit.
    pub fn look(&mut self, standing: OutboxBacklog, has_room: bool, now_ms: u64) -> Option<Ailment> {
        if standing.pending == 0 || !has_room {
            self.waiting_since_ms = None;
        }
        if self.acked.as_ref().is_some_and(|acked| acked.stream_seq <= standing.ack_floor) {
            self.acked = None;
        }
        // Another unsettled message may hold the floor, of this replica or of another one: only the next one can't.
        let is_next = |acked: &Acked| acked.stream_seq == standing.ack_floor + 1 || acked.came_again;
        let is_long = |since_ms: u64| now_ms.saturating_sub(since_ms) >= BOUND_MS;
        if self.acked.as_ref().is_some_and(|acked| is_next(acked) && is_long(acked.since_ms)) {
            return Some(Ailment::AcksIgnored);
        }
        if standing.pending > 0 && has_room && is_long(*self.waiting_since_ms.get_or_insert(now_ms)) {
            return Some(Ailment::Starved);
        }
        None
    }

    /// Everything begins again (another consumer).
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(pending: u64, ack_floor: u64) -> OutboxBacklog {
        OutboxBacklog { pending, ack_floor }
    }

    #[test]
    fn a_lane_with_pending_messages_and_room_that_receives_nothing_is_starved() {
        let mut watch = LaneWatch::default();
        assert_eq!(watch.look(standing(5, 0), true, 0), None);
        assert_eq!(watch.look(standing(5, 0), true, BOUND_MS - 1), None);
        assert_eq!(watch.look(standing(5, 0), true, BOUND_MS), Some(Ailment::Starved));
        watch.received(1);
        assert_eq!(watch.look(standing(5, 0), true, BOUND_MS + 1), None);
    }

    #[test]
    fn neither_an_empty_stream_nor_a_full_window_starves_a_lane() {
        let mut watch = LaneWatch::default();
        for now_ms in [0, BOUND_MS, 2 * BOUND_MS] {
            assert_eq!(watch.look(standing(0, 0), true, now_ms), None);
            assert_eq!(watch.look(standing(5, 0), false, now_ms), None);
        }
    }

    #[test]
    fn acknowledgements_that_do_not_move_the_floor_are_noticed() {
        let mut watch = LaneWatch::default();
        watch.acknowledged(2, 0);
        watch.acknowledged(1, 0);
        assert_eq!(watch.look(standing(0, 0), true, BOUND_MS - 1), None);
        assert_eq!(watch.look(standing(0, 0), true, BOUND_MS), Some(Ailment::AcksIgnored));
        assert_eq!(watch.look(standing(0, 2), true, BOUND_MS), None);
    }

    #[test]
    fn a_floor_that_another_message_holds_says_nothing_unless_the_acknowledged_one_comes_again() {
        let mut watch = LaneWatch::default();
        watch.acknowledged(5, 0);
        assert_eq!(watch.look(standing(0, 2), true, BOUND_MS), None);
        watch.received(5);
        assert_eq!(watch.look(standing(0, 2), true, BOUND_MS), Some(Ailment::AcksIgnored));
    }
}
