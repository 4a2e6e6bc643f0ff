//! Consumer lag: how far a lane is behind its stream, as the broker reports it.

use async_nats::jetstream::consumer::Info;

use crate::delivery::Lane;
use crate::metrics::Metrics;

/// Writes a consumer's state into the gauges. `newest_us` is the broker's time of the newest message received.
pub(super) fn show(lane: Lane, info: &Info, newest_us: i64, now_us: i64, metrics: &Metrics) {
    let gauges = &metrics.consumers;
    gauges.pending.of(lane).set(info.num_pending as i64);
    gauges.ack_pending.of(lane).set(info.num_ack_pending as i64);
    gauges.redelivered.of(lane).set(info.num_redelivered as i64);
    gauges.max_ack_pending.of(lane).set(info.config.max_ack_pending);
    // With nothing pending the lag is zero, however old the last message is.
    let lag_us = if info.num_pending == 0 || newest_us == 0 { 0 } else { now_us - newest_us };
    gauges.lag_seconds.of(lane).set(lag_us.max(0) as f64 / 1e6);
}
