//! Observed time: the time of an event in derived state, with clock skew bounded.

/// Most that a device's clock may be ahead of the broker's.
const MOST_AHEAD_US: i64 = 5 * 60 * 1_000_000;

/// The time of an event in derived state (sensors, state, position), in Unix microseconds: its own time, unless that is
/// later than the broker's by more than five minutes; then the broker's. In derived state the newest time wins, so one
/// message from the year 9999 would stay the newest for ever. The row and the point have the event's own time.
pub const fn observed_us(event_us: i64, received_us: i64) -> i64 {
    if event_us > received_us.saturating_add(MOST_AHEAD_US) { received_us } else { event_us }
}
