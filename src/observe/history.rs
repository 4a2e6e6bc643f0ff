//! Five minutes of history: a few figures of each second, in bounded memory.

use std::collections::VecDeque;

use serde::Serialize;

use super::snapshot::Snapshot;

/// Points that are kept: five minutes, one a second.
const POINTS: usize = 300;

/// What a point holds, in its order. All but the time are null where they are not known.
const FIELDS: [&str; 9] =
    ["epoch_seconds", "received", "accepted", "rejected", "rows", "lines", "in_flight", "lag_seconds", "owed_lines"];

/// The figures of one second.
pub(super) type Point = [Option<f64>; FIELDS.len()];

/// The points of the last minutes, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<Point>);

/// The history as the console reads it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    fields: [&'static str; FIELDS.len()],
    points: &'a VecDeque<Point>,
    seconds: usize,
}

impl History {
    /// Adds a point; the oldest makes room.
    pub(super) fn add(&mut self, point: Point) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// As the console reads it.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { fields: FIELDS, points: &self.0, seconds: POINTS }
    }
}

/// The point of a snapshot.
pub(super) fn point(snapshot: &Snapshot, epoch_seconds: f64) -> Point {
    let flow = |to: &str, what: &str| {
        let rates = snapshot.flows.iter().filter(|flow| flow.to == to && flow.what == what).map(|flow| flow.per_second);
        rates.fold(None, |sum: Option<f64>, rate| Some(sum.unwrap_or_default() + rate?))
    };
    let lag = snapshot.lanes.iter().map(|lane| lane.lag_seconds).try_fold(0.0, |most: f64, lag| Some(most.max(lag?)));
    [
        Some(epoch_seconds),
        flow("consumer", "messages"),
        flow("writer", "accepted"),
        flow("writer", "rejected"),
        flow("postgres", "rows"),
        flow("influx", "lines"),
        Some(snapshot.totals.in_flight as f64),
        lag.filter(|_| !snapshot.lanes.is_empty()),
        snapshot.outbox.as_ref().map(|outbox| outbox.lines as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::{Flow, LaneState};

    #[test]
    fn the_oldest_point_makes_room_and_the_memory_is_bounded() {
        let mut history = History::default();
        (0..2 * POINTS).for_each(|second| history.add([Some(second as f64); FIELDS.len()]));
        assert_eq!((history.0.len(), history.0[0][0]), (POINTS, Some(POINTS as f64)));
        assert!(history.0.capacity() * size_of::<Point>() < 100_000);
        let shown = serde_json::to_value(history.shown()).unwrap();
        assert_eq!((&shown["fields"][1], &shown["points"][0][1]), (&"received".into(), &(POINTS as f64).into()));
    }

    #[test]
    fn what_is_not_known_of_a_second_is_none() {
        let flow =
            |per_second| Flow { to: "consumer".to_owned(), what: "messages".to_owned(), per_second, ..Flow::default() };
        let lane = |lag_seconds| LaneState { lag_seconds, ..LaneState::default() };
        let of = |flows, lanes| point(&Snapshot { flows, lanes, ..Snapshot::default() }, 1.0);
        let known = of(vec![flow(Some(2.0)), flow(Some(3.0))], vec![lane(Some(1.0)), lane(Some(4.0))]);
        assert_eq!((known[1], known[7], known[8]), (Some(5.0), Some(4.0), None));
        let unknown = of(vec![flow(Some(2.0)), flow(None)], vec![lane(Some(1.0)), lane(None)]);
        assert_eq!((unknown[1], unknown[7]), (None, None));
        assert_eq!(of(vec![], vec![])[7], None);
    }
}
