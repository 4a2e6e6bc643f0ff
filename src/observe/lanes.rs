//! The lanes of a snapshot.

use std::time::Instant;

use super::rates::{Rates, rounded};
use super::snapshot::LaneState;
use crate::delivery::Lane;
use crate::metrics::{Ledger, Metrics};

/// Every lane that the node runs.
pub(super) fn lanes(metrics: &Metrics, rates: &mut Rates, now: Instant) -> Vec<LaneState> {
    let broker = &metrics.consumers.broker;
    let lane = |(lane, ledger): (Lane, Ledger)| {
        let (report, consumer) = (broker.of(lane, now).ok(), lane.consumer());
        let figures = report.map(|report| report.figures);
        let settled = ledger.acked + ledger.nacked + ledger.termed;
        LaneState {
            stream: lane.stream().to_owned(),
            consumer: consumer.to_owned(),
            received: ledger.received,
            acked: ledger.acked,
            nacked: ledger.nacked,
            termed: ledger.termed,
            in_flight: ledger.in_flight,
            window_bytes: metrics.consumers.window_bytes.of(lane),
            window: report.map(|report| report.window as u64),
            received_per_second: rates.of(format!("received {consumer}"), ledger.received),
            settled_per_second: rates.of(format!("settled {consumer}"), settled),
            pending: figures.map(|figures| figures.pending),
            ack_pending: figures.map(|figures| figures.ack_pending),
            max_ack_pending: figures.map(|figures| figures.max_ack_pending),
            redelivered: figures.map(|figures| figures.redelivered),
            ack_floor: figures.map(|figures| figures.ack_floor),
            lag_seconds: report.and_then(|report| report.seconds(now)).map(rounded),
            info_age_seconds: broker.info_age(lane, now).map(|age| rounded(age.as_secs_f64())),
        }
    };
    metrics.ledgers.read().into_iter().map(lane).collect()
}
