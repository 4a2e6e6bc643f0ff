//! What goes from whom to whom: the edges of the picture, each by the counter that counts it.

use super::rates::Rates;
use super::snapshot::Flow;
use crate::metrics::{LineResult, Metrics};

/// Every edge. Those of sinks that the node does not run stay at zero.
pub(super) fn flows(metrics: &Metrics, rates: &mut Rates) -> Vec<Flow> {
    let ledgers = metrics.ledgers.read();
    let received: u64 = ledgers.iter().map(|(_, ledger)| ledger.received).sum();
    let settled: u64 = ledgers.iter().map(|(_, ledger)| ledger.acked + ledger.nacked + ledger.termed).sum();
    let (influx, postgres, validation) = (&metrics.influx, &metrics.postgres, &metrics.validation);
    let held = u64::try_from(influx.buffered_lines.get()).unwrap_or_default();
    let updates = metrics.postgres.shadow_reports.total() + metrics.postgres.command_acks.total();
    let edges = [
        ("nats", "consumer", "messages", received),
        ("consumer", "validator", "messages", received),
        ("validator", "registry", "look-ups", metrics.registry.lookups.total()),
        ("validator", "writer", "accepted", validation.accepted.total()),
        ("validator", "writer", "rejected", validation.rejections.total()),
        ("writer", "postgres", "rows", postgres.rows.get()),
        ("writer", "postgres", "rejections", postgres.quarantined.get() + postgres.quarantine_capped.get()),
        ("writer", "postgres", "updates", updates),
        ("writer", "router", "points", influx.lines.total() + held),
        ("writer", "publisher", "jobs", metrics.routes.jobs.total()),
        ("writer", "state-writer", "updates", metrics.state.updates.total()),
        ("redelivery", "router", "points", influx.replayed_lines.get()),
        ("router", "influx", "lines", influx.lines.of(LineResult::Ok).get()),
        ("router", "quarantine-writer", "refused", influx.lines.of(LineResult::Refused).get()),
        ("router", "outbox-maintainer", "deferred", influx.lines.of(LineResult::Deferred).get()),
        ("consumer", "nats", "settled", settled),
        ("silence-watcher", "nats", "alerts", metrics.state.readings.alerts()),
    ];
    let flow = |(from, to, what, total): (&str, &str, &str, u64)| Flow {
        per_second: rates.of(format!("{from} {to} {what}"), total),
        from: from.to_owned(),
        to: to.to_owned(),
        what: what.to_owned(),
        total,
    };
    edges.into_iter().map(flow).collect()
}
