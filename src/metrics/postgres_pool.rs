//! The connection pool of PostgreSQL, read from the pool at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::figure_source::FigureSource;

/// A pool's figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Connections that work uses.
    pub in_use: usize,
    /// Open connections that nobody uses.
    pub idle: usize,
    /// Work that waits for a connection.
    pub waiting: usize,
    /// Open connections: those in use and the idle ones.
    pub size: usize,
    /// Most connections that the pool opens.
    pub max: usize,
}

impl Collector for FigureSource<PoolFigures> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(pool) = self.read() else { return Ok(()) };
        let help = "Connections of the pool: size = in_use + idle, at most max; waiting is work without a connection.";
        let mut family = encoder.encode_descriptor("postgres_pool", help, None, MetricType::Gauge)?;
        let states = [
            ("in_use", pool.in_use),
            ("idle", pool.idle),
            ("waiting", pool.waiting),
            ("size", pool.size),
            ("max", pool.max),
        ];
        for (state, count) in states {
            ConstGauge::new(count).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
