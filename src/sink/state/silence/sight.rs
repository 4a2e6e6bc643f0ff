//! Up to when everything that devices have sent is known, and since when that has been so.
//!
//! Messages that are still in the stream, or in the hands of any replica, are not known; and while NATS or PostgreSQL is away,
//! devices may have no way in. So an outage on this side is no silence: when it ends, everybody gets as much time again.

use std::time::{Duration, Instant};

use crate::metrics::{BrokerReport, Metrics};
use crate::runtime::readiness::{Condition, Readiness};

/// What the servers' clocks may be apart, and what a write and its notice may be.
const MARGIN_US: i64 = 2_000_000;

/// Since when nothing has been in the way, and up to when everything is known. Unix microseconds of PostgreSQL's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    since_us: Option<i64>,
}

impl Sight {
    /// Looks: `to_us` is up to when everything is known, `None` where that can't be said. The range within which silence is
    /// silence.
    pub(super) fn look(&mut self, now_us: i64, to_us: Option<i64>) -> Option<(i64, i64)> {
        let Some(to_us) = to_us else {
            self.lost();
            return None;
        };
        Some((*self.since_us.get_or_insert(now_us), to_us - MARGIN_US))
    }

    /// Something was in the way.
    pub(super) fn lost(&mut self) {
        self.since_us = None;
    }
}

/// How far the lanes with devices' messages lag behind: the age of the oldest message that is not settled, in microseconds.
///
/// # Errors
/// Why it can't be said.
pub(super) fn lag_us(metrics: &Metrics, readiness: &Readiness, now: Instant) -> Result<i64, &'static str> {
    if !readiness.holds(Condition::Nats) {
        return Err("NATS is away");
    }
    let broker = &metrics.consumers.broker;
    let mut most_us = 0;
    for lane in broker.lanes().iter().filter(|lane| lane.has_rows()) {
        if !readiness.holds(Condition::Consumer(lane)) {
            return Err("a lane is not ready");
        }
        let report = broker.of(lane, now).map_err(|_| "what a lane has left is not known")?;
        most_us = most_us.max(lag_of(&report, now).ok_or("the age of a lane's oldest message is not known")?);
    }
    Ok(most_us)
}

/// One lane's.
fn lag_of(report: &BrokerReport, now: Instant) -> Option<i64> {
    let oldest = if report.figures.messages() == 0 { Duration::ZERO } else { report.oldest? };
    i64::try_from((oldest + report.age(now)).as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingest_core::flow::lag::ConsumerFigures;

    #[test]
    fn an_outage_gives_everybody_as_much_time_again() {
        let mut sight = Sight::default();
        assert_eq!(sight.look(100, Some(90)), Some((100, 90 - MARGIN_US)));
        assert_eq!(sight.look(200, Some(190)), Some((100, 190 - MARGIN_US)));
        assert_eq!(sight.look(300, None), None);
        assert_eq!(sight.look(400, Some(390)), Some((400, 390 - MARGIN_US)));
        sight.lost();
        assert_eq!(sight.look(500, Some(490)), Some((500, 490 - MARGIN_US)));
    }

    #[test]
    fn a_lane_is_known_up_to_its_oldest_message_and_no_further_than_the_broker_was_asked() {
        let asked = Instant::now();
        let report = |pending, oldest| BrokerReport {
            asked,
            figures: ConsumerFigures { pending, ..ConsumerFigures::default() },
            oldest,
            window: 1,
        };
        let now = asked + Duration::from_secs(3);
        let old = Some(Duration::from_secs(60));
        assert_eq!(lag_of(&report(0, old), now), Some(3_000_000));
        assert_eq!(lag_of(&report(1, old), now), Some(63_000_000));
        assert_eq!((lag_of(&report(1, None), now), lag_of(&report(0, None), now)), (None, Some(3_000_000)));
    }
}
