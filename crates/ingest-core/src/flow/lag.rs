//! Lag of a consumer: what autoscalers are told, from the figures that the broker reports.

use std::time::Duration;

/// Figures that are older than this are unknown.
const CURRENT_FOR: Duration = Duration::from_secs(10);

/// A consumer's figures as the broker reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerFigures {
    /// Messages that were never delivered.
    pub pending: u64,
    /// Messages delivered to any replica and not acknowledged.
    pub ack_pending: u64,
    /// Those of them that were delivered more than once.
    pub redelivered: u64,
    /// Most messages delivered to all replicas together and not acknowledged; not positive: no limit.
    pub max_ack_pending: i64,
    /// Every message up to this sequence number of the stream is acknowledged.
    pub ack_floor: u64,
    /// Nothing is delivered until an operator resumes it.
    pub is_paused: bool,
    /// Requests for messages that wait at the broker, of all replicas.
    pub waiting_requests: u64,
    /// Seconds after which the broker delivers again what is not acknowledged.
    pub ack_wait_secs: u64,
}

impl ConsumerFigures {
    /// Messages that are not settled.
    pub fn messages(&self) -> u64 {
        self.pending.saturating_add(self.ack_pending)
    }

    /// Those that more replicas could help to work off: all, or none while the bottleneck is not the replicas.
    ///
    /// What is in flight counts: if it did not, replicas would be taken away as soon as all messages are handed to them.
    pub fn scalable(&self, is_postgres_up: bool) -> u64 {
        if !is_postgres_up || self.is_paused || self.is_full() { 0 } else { self.messages() }
    }

    /// Whether the broker delivers nothing more, to whichever replica, until something is acknowledged.
    pub fn is_full(&self) -> bool {
        u64::try_from(self.max_ack_pending).is_ok_and(|most| most > 0 && self.ack_pending >= most)
    }
}

/// How many replicas with this window can have a full one at the same time; `None` without a limit, where any number can.
pub fn replicas_useful(max_ack_pending: i64, window: usize) -> Option<u64> {
    let most = u64::try_from(max_ack_pending).ok().filter(|most| *most > 0)?;
    Some(most.div_ceil((window as u64).max(1)))
}

/// Whether figures of this age still count.
pub fn is_current(age: Duration) -> bool {
    age <= CURRENT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(pending: u64, ack_pending: u64, max_ack_pending: i64) -> ConsumerFigures {
        ConsumerFigures { pending, ack_pending, max_ack_pending, ..ConsumerFigures::default() }
    }

    #[test]
    fn everything_that_is_not_settled_is_lag() {
        assert_eq!(figures(7, 300, 1_000).messages(), 307);
        assert_eq!(figures(7, 300, 1_000).scalable(true), 307);
        assert_eq!(figures(0, 0, 1_000).scalable(true), 0);
    }

    #[test]
    fn more_replicas_work_off_nothing_that_waits_for_something_else() {
        assert_eq!(figures(7, 300, 1_000).scalable(false), 0, "PostgreSQL is away");
        assert_eq!(figures(7, 1_000, 1_000).scalable(true), 0, "max_ack_pending is reached");
        assert_eq!(figures(7, 999, 1_000).scalable(true), 1_006);
        assert_eq!(ConsumerFigures { is_paused: true, ..figures(7, 0, 1_000) }.scalable(true), 0, "paused");
    }

    #[test]
    fn a_consumer_without_a_limit_is_never_full() {
        for unlimited in [-1, 0] {
            assert_eq!(figures(7, 1_000_000, unlimited).scalable(true), 1_000_007);
            assert_eq!(replicas_useful(unlimited, 20_000), None);
        }
    }

    #[test]
    fn replicas_are_useful_until_their_windows_hold_max_ack_pending() {
        assert_eq!(replicas_useful(60_000, 20_000), Some(3));
        assert_eq!(replicas_useful(60_001, 20_000), Some(4));
        assert_eq!(replicas_useful(1, 20_000), Some(1));
    }

    #[test]
    fn figures_expire() {
        assert!(is_current(CURRENT_FOR));
        assert!(!is_current(CURRENT_FOR + Duration::from_millis(1)));
    }
}
