//! The delivery ledger of each lane, always in balance.

use std::fmt;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::delivery::{Lane, Lanes};

/// A lane's delivery ledger: `received = acked + nacked + termed + in_flight`, at every moment. It changes under one lock, so
/// that no scrape sees it out of balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Deliveries received, redeliveries included.
    pub received: u64,
    /// Settled with an ack.
    pub acked: u64,
    /// Settled with a nak: the broker delivers again.
    pub nacked: u64,
    /// Settled with a term: never delivered again.
    pub termed: u64,
    /// Not settled yet.
    pub in_flight: u64,
}

/// The ledgers of the lanes.
#[derive(Debug)]
pub struct Ledgers {
    lanes: Lanes,
    ledgers: [Mutex<Ledger>; Lane::COUNT],
}

impl Ledgers {
    /// Of a node that runs these lanes, at zero.
    pub(super) fn new(lanes: Lanes) -> Self {
        Self { lanes, ledgers: Default::default() }
    }

    /// A lane's ledger, locked: change it in one go.
    pub fn lane(&self, lane: Lane) -> MutexGuard<'_, Ledger> {
        self.ledgers[lane.index()].lock()
    }

    /// A copy of the ledger of every lane that the node runs, each in balance.
    pub(crate) fn read(&self) -> Vec<(Lane, Ledger)> {
        self.lanes.iter().map(|lane| (lane, *self.lane(lane))).collect()
    }
}

impl Collector for Ledgers {
    /// Reads each ledger once per scrape: separate counters would be read one after the other, and never add up.
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let lanes = self.read();

        let mut received = encoder.encode_descriptor(
            "deliveries_received",
            "Deliveries handed to the node, redeliveries included.",
            None,
            MetricType::Counter,
        )?;
        for (lane, ledger) in &lanes {
            ConstCounter::new(ledger.received).encode(received.encode_family(&[("consumer", lane.consumer())])?)?;
        }

        let mut settled = encoder.encode_descriptor(
            "deliveries_settled",
            "Deliveries that have ended, by what the broker was told.",
            None,
            MetricType::Counter,
        )?;
        for (lane, ledger) in &lanes {
            for (disposition, count) in [("ack", ledger.acked), ("nak", ledger.nacked), ("term", ledger.termed)] {
                let labels = [("consumer", lane.consumer()), ("disposition", disposition)];
                ConstCounter::new(count).encode(settled.encode_family(&labels)?)?;
            }
        }

        let mut in_flight = encoder.encode_descriptor(
            "in_flight",
            "Deliveries received and not settled yet.",
            None,
            MetricType::Gauge,
        )?;
        for (lane, ledger) in &lanes {
            let labels = [("consumer", lane.consumer())];
            ConstGauge::new(i64::try_from(ledger.in_flight).unwrap_or(i64::MAX))
                .encode(in_flight.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
