//! Counts that something outside of the metrics keeps, read at each scrape; 0 before it is there.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::figure_source::FigureSource;

/// A counter whose count is read.
#[derive(Debug)]
pub struct Counted {
    name: &'static str,
    help: &'static str,
    reading: FigureSource<u64>,
}

impl Counted {
    /// Under this name; 0 until something is read.
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, reading: FigureSource::default() }
    }

    /// Scrapes read from here from now on.
    pub fn read_from(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.reading.read_from(read);
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counter = encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
        ConstCounter::new(self.reading.read().unwrap_or_default()).encode(counter)
    }
}
