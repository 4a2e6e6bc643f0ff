//! Bytes of the deliveries that this replica holds, for each lane that the node runs.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::delivery::{Lane, Lanes};

/// `ingest_window_bytes{consumer}`.
#[derive(Debug)]
pub struct WindowBytes {
    lanes: Lanes,
    bytes: [AtomicI64; Lane::COUNT],
}

impl WindowBytes {
    /// Of a node that runs these lanes, at zero.
    pub(super) fn new(lanes: Lanes) -> Self {
        Self { lanes, bytes: Default::default() }
    }

    /// A lane's bytes.
    pub(crate) fn of(&self, lane: Lane) -> u64 {
        u64::try_from(self.bytes[lane.index()].load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Sets a lane's bytes.
    pub fn set(&self, lane: Lane, bytes: usize) {
        self.bytes[lane.index()].store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Collector for WindowBytes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Bytes of the deliveries that this replica holds.";
        let mut family = encoder.encode_descriptor("window_bytes", help, None, MetricType::Gauge)?;
        for lane in self.lanes.iter() {
            let bytes = self.bytes[lane.index()].load(Ordering::Relaxed);
            ConstGauge::new(bytes).encode(family.encode_family(&[("consumer", lane.consumer())])?)?;
        }
        Ok(())
    }
}
