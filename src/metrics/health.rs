//! Whether the node is ready and which of its components do their work, read from the readiness at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::figure_source::FigureSource;

/// What `/ready` answers, as figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether `/ready` is 200.
    pub ready: bool,
    /// Each component, and whether it does its work.
    pub components: Vec<(&'static str, bool)>,
}

impl Collector for FigureSource<Health> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(health) = self.read() else { return Ok(()) };
        let ready =
            encoder.encode_descriptor("ready", "1 while the node is ready, as at /ready.", None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(health.ready)).encode(ready)?;
        let help = "1 while the component does its work; influx is 0 while a tenant's points are not taken.";
        let mut up = encoder.encode_descriptor("component_up", help, None, MetricType::Gauge)?;
        for (component, is_up) in health.components {
            ConstGauge::new(i64::from(is_up)).encode(up.encode_family(&[("component", component)])?)?;
        }
        Ok(())
    }
}
