//! The Prometheus registry behind `/metrics`, and how components add their metrics to it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::counted::Counted;
use super::process::Process;

/// Every registered metric.
#[derive(Debug)]
pub(super) struct Exposition {
    /// The node's own, under the prefix `ingest_`.
    node: Registry,
    /// Those whose names are the same for all programs.
    process: Registry,
    /// Those of another command: they count, and no scrape shows them.
    unshown: Registry,
    is_shown: bool,
}

impl Exposition {
    /// A registry with the version's metric.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("ingest");
        registry.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        Self { node: registry, process, unshown: Registry::default(), is_shown: true }
    }

    /// Whether scrapes show what is registered from now on.
    pub(super) fn shows(&mut self, is_shown: bool) {
        self.is_shown = is_shown;
    }

    fn registry(&mut self) -> &mut Registry {
        if self.is_shown { &mut self.node } else { &mut self.unshown }
    }

    /// Registers a metric that starts at its default.
    pub(super) fn default<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.register(name, help, M::default())
    }

    /// Registers a histogram of seconds, from a millisecond to half a minute: what a write to a store takes, from idle to
    /// nearly timed out.
    pub(super) fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        self.register(name, help, Histogram::new(bounds))
    }

    /// Registers a collector, which makes its samples at each scrape.
    pub(super) fn collector<C: Default>(&mut self) -> Arc<C>
    where
        Arc<C>: Collector,
    {
        self.collect(C::default())
    }

    /// Registers this collector.
    pub(super) fn collect<C>(&mut self, collector: C) -> Arc<C>
    where
        Arc<C>: Collector,
    {
        let collector = Arc::new(collector);
        self.registry().register_collector(Box::new(collector.clone()));
        collector
    }

    /// Registers a counter whose count is kept elsewhere and read at each scrape.
    pub(super) fn counted(&mut self, name: &'static str, help: &'static str) -> Arc<Counted> {
        let counted = Arc::new(Counted::new(name, help));
        self.registry().register_collector(Box::new(counted.clone()));
        counted
    }

    /// The OpenMetrics text of a scrape.
    ///
    /// # Errors
    /// None in practice: only a failing writer fails, and a `String` does not.
    pub(super) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        text::encode_registry(&mut text, &self.node)?;
        text::encode_registry(&mut text, &self.process)?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }

    /// Registers a metric that is there already.
    pub(super) fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry().register(name, help, metric.clone());
        metric
    }
}
