//! The time that an event has in derived state.

/// A device's clock may be ahead of the broker's by so much and is still believed.
const MOST_AHEAD_US: i64 = 5 * 60 * 1_000_000;

/// When an event happened, as far as derived state (sensors, state, position) believes it, in Unix microseconds: its own
/// time, unless that is later than the broker's by more than five minutes; then the broker's. There the newest time wins, so
/// that one message from the year 9999 would stand for ever. The row and the point keep the event's own time.
pub const fn observed_us(event_us: i64, received_us: i64) -> i64 {
    if event_us > received_us.saturating_add(MOST_AHEAD_US) { received_us } else { event_us }
}
