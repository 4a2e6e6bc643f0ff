//! The table of docs/metrics.md, made from a scrape. `REGENERATE=1 cargo test reference` writes it.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use super::broker::BrokerReport;
use super::health::Health;
use super::missing_readings::Silent;
use super::node::Metrics;
use super::outbox::OutboxBacklog;
use super::postgres_pool::PoolFigures;
use super::retention::RetentionFigures;
use crate::delivery::{Lane, Lanes};
use ingest_core::flow::lag::ConsumerFigures;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const MARKS: (&str, &str) = ("<!-- metrics: made from src/metrics/ -->\n", "<!-- /metrics -->\n");

/// One row per metric, under the name that its samples have.
fn table() -> String {
    let metrics = Metrics::of_all(Lanes::with(|_| true));
    metrics.health.read_from(|| Health { ready: true, components: vec![("nats", true)] });
    metrics.postgres.pool.read_from(PoolFigures::default);
    let retention = RetentionFigures { oldest_day_secs: Some(1), held_back: Some(1), success_age_secs: Some(1.0) };
    metrics.retention.figures.read_from(move || retention);
    metrics.actors.restarted("writer");
    let (asked, figures, oldest) = (Instant::now(), ConsumerFigures::default(), Some(Duration::ZERO));
    metrics.consumers.broker.set(Lane::TELEMETRY, BrokerReport { asked, figures, oldest, window: 1 });
    metrics.state.readings.published("acme", 1);
    metrics.state.readings.set_silent(Some(Silent { tenants: vec![("acme".to_owned(), 1)], devices: Vec::new() }));
    metrics.state.readings.set_unpublished(Some(1));
    let backlog = OutboxBacklog { replay: Some((1.0, 1.0)), ..OutboxBacklog::default() };
    metrics.influx.outbox.set(vec![backlog], Instant::now());
    let scrape = metrics.open_metrics().unwrap();
    let mut text = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in scrape.split("# HELP ").skip(1) {
        let (help, rest) = metric.split_once('\n').unwrap();
        let (name, help) = help.split_once(' ').unwrap();
        let (kind, samples) = rest.split_once('\n').unwrap();
        let kind = kind.rsplit(' ').next().unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = samples.lines().next().and_then(|sample| Some(sample.split_once('{')?.1.split_once('}')?.0));
        let labels: Vec<_> = labels
            .filter(|_| kind != "histogram")
            .map(|labels| labels.split(',').filter_map(|label| label.split('=').next()).collect())
            .unwrap_or_default();
        writeln!(text, "| `{name}{suffix}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    text
}

#[test]
fn the_documentation_lists_every_metric() {
    let document = fs::read_to_string(DOCUMENT).unwrap_or_else(|error| panic!("{DOCUMENT}: {error}"));
    let (before, rest) = document.split_once(MARKS.0).expect("the opening mark");
    let (_, after) = rest.split_once(MARKS.1).expect("the closing mark");
    let expected = [before, MARKS.0, &table(), MARKS.1, after].concat();
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(DOCUMENT, &expected).unwrap();
    }
    let found = fs::read_to_string(DOCUMENT).unwrap();
    assert!(found == expected, "{DOCUMENT} is not what a scrape shows: REGENERATE=1 cargo test reference");
}
