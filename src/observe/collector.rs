//! The collector: makes a snapshot from shared counters. It sends no message, so it never waits for an actor.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::actors::{self, rfc3339};
use super::progress::Progress;
use super::rates::{Rates, rounded};
use super::rejections::RecentReasons;
use super::snapshot::{ActorState, ConditionState, NodeState, Snapshot, Totals, Viewers};
use super::{flows, lanes, missing_readings, sinks};
use crate::metrics::{BatcherFigures, Metrics};
use crate::runtime::instances::{InstanceReading, Instances};
use crate::runtime::readiness::{Component, Readiness};

/// Where everything is read.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Conditions.
    pub readiness: Arc<Readiness>,
    /// The actors of the tree.
    pub instances: Arc<Instances>,
}

/// Makes one snapshot after the other.
#[derive(Debug)]
pub(super) struct Collector {
    sources: Sources,
    host: Option<String>,
    started: Instant,
    /// The last snapshot in turn, and the last at all.
    last_in_turn: Option<Instant>,
    last: Option<Instant>,
    rates: Rates,
    progress: Progress,
    reasons: RecentReasons,
}

impl Collector {
    /// Of a node that begins.
    pub(super) fn new(sources: Sources, started: Instant) -> Self {
        Self {
            sources,
            host: host(),
            started,
            last_in_turn: None,
            last: None,
            rates: Rates::default(),
            progress: Progress::default(),
            reasons: RecentReasons::default(),
        }
    }

    /// The snapshot of this moment. One out of turn, between two of the clock's, repeats the rates of the last.
    pub(super) fn take(&mut self, now: Instant, time: SystemTime, is_in_turn: bool, viewers: Viewers) -> Snapshot {
        let since = |last: Option<Instant>| last.map(|last| now.saturating_duration_since(last));
        self.progress.begin(since(self.last.replace(now)).unwrap_or(Duration::ZERO));
        match is_in_turn {
            true => self.rates.begin(since(self.last_in_turn.replace(now))),
            false => self.rates.begin_between(),
        }
        let Sources { metrics, readiness, instances } = self.sources.clone();
        let (read, batchers) = (instances.read(), metrics.influx.batchers_shown.read());
        let generation = read.iter().filter_map(|actor| actor.generation).max();
        let is_draining = readiness.is_draining();
        let (actors, actors_left_out) = self.actors(&read, batchers.as_ref(), generation, is_draining);
        Snapshot {
            as_of: rfc3339(time).unwrap_or_default(),
            node: self.node(now, generation, is_draining),
            actors,
            actors_left_out,
            flows: flows::flows(&metrics, &mut self.rates),
            lanes: lanes::lanes(&metrics, &mut self.rates, now),
            influx: batchers.as_ref().map(sinks::influx),
            outbox: sinks::outbox(&metrics, now),
            postgres_pool: sinks::pool(&metrics),
            conditions: conditions(&readiness),
            notes: readiness.notes(),
            rejections: self.reasons.read(&metrics, &mut self.rates, now),
            missing_readings: missing_readings::missing_readings(&metrics, now),
            totals: totals(&metrics),
            viewers,
        }
    }

    /// From the top of the picture to its bottom; batchers follow their router, by their names.
    fn actors(
        &mut self,
        read: &[InstanceReading],
        batchers: Option<&BatcherFigures>,
        generation: Option<u64>,
        is_draining: bool,
    ) -> (Vec<ActorState>, u64) {
        let (rates, progress) = (&mut self.rates, &mut self.progress);
        let mut of_tenants: Vec<ActorState> = batchers
            .iter()
            .flat_map(|batchers| &batchers.shown)
            .map(|batcher| actors::of_batcher(batcher, generation, rates, progress, is_draining))
            .collect();
        of_tenants.sort_by(|one, other| one.name.cmp(&other.name));
        let mut list = Vec::with_capacity(read.len() + of_tenants.len());
        for actor in read.iter().rev() {
            list.push(actors::of_tree(actor, rates, progress, is_draining));
            if actor.role == ROUTER {
                list.append(&mut of_tenants);
            }
        }
        (list, batchers.map_or(0, |batchers| batchers.tenants.saturating_sub(batchers.shown.len() as u64)))
    }

    fn node(&self, now: Instant, generation: Option<u64>, is_draining: bool) -> NodeState {
        let reasons = self.sources.readiness.ready().err().unwrap_or_default();
        let state = match (is_draining, reasons.is_empty()) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "not_ready",
        };
        NodeState {
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: rounded(now.saturating_duration_since(self.started).as_secs_f64()),
            generation: generation.unwrap_or_default(),
            state: state.to_owned(),
            reasons,
        }
    }
}

/// The name of this machine, or of the pod.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The role that the batchers belong to.
const ROUTER: &str = "router";

fn conditions(readiness: &Readiness) -> Vec<ConditionState> {
    let state = |of: Component| ConditionState {
        name: of.name.to_owned(),
        up: of.reasons.is_empty(),
        reason: (!of.reasons.is_empty()).then(|| of.reasons.join("; ")),
        required: of.is_required,
    };
    readiness.components().into_iter().map(state).collect()
}

fn totals(metrics: &Metrics) -> Totals {
    let sums = metrics.totals();
    let ledgers = metrics.ledgers.read();
    Totals {
        received: sums.received,
        settled: ledgers.iter().map(|(_, ledger)| ledger.acked + ledger.nacked + ledger.termed).sum(),
        in_flight: ledgers.iter().map(|(_, ledger)| ledger.in_flight).sum(),
        accepted: sums.accepted,
        rejected: sums.rejected,
        rows: metrics.postgres.rows.get(),
        influx_ok: sums.influx_ok,
        influx_err: sums.influx_err,
        influx_buffer: sums.influx_buffer,
        pending: sums.pending,
        restarts: metrics.actors.figures().values().map(|figures| figures.restarts).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{BatcherReading, Counts};
    use crate::runtime::readiness::Condition;

    fn collector() -> (Collector, Sources) {
        let sources = Sources { metrics: Metrics::new(), readiness: Readiness::new(), instances: Arc::default() };
        ["outbox-maintainer", "router", "writer"]
            .into_iter()
            .for_each(|role| sources.instances.list(role.into(), role));
        (Collector::new(sources.clone(), Instant::now()), sources)
    }

    fn take(collector: &mut Collector) -> Snapshot {
        collector.take(Instant::now(), SystemTime::UNIX_EPOCH, true, Viewers::default())
    }

    #[test]
    fn actors_are_listed_from_the_top_with_the_batchers_after_their_router() {
        let (mut collector, sources) = collector();
        let batcher = |tenant: &str| BatcherReading {
            tenant_id: tenant.into(),
            counts: Counts { begun: 1, running: 1, ..Counts::default() },
            ..BatcherReading::default()
        };
        let figures =
            BatcherFigures { tenants: 7, shown: vec![batcher("b"), batcher("a")], ..BatcherFigures::default() };
        sources.metrics.influx.batchers_shown.read_from(move || figures.clone());
        let snapshot = take(&mut collector);
        let names: Vec<_> = snapshot.actors.iter().map(|actor| (actor.name.as_str(), actor.state.as_str())).collect();
        let expected = [
            ("writer", "starting"),
            ("router", "starting"),
            ("batcher-a", "running"),
            ("batcher-b", "running"),
            ("outbox-maintainer", "starting"),
        ];
        assert_eq!((names, snapshot.actors_left_out), (expected.to_vec(), 5));
        assert_eq!(snapshot.influx.map(|influx| (influx.tenants, influx.left_out)), Some((7, 5)));
    }

    #[test]
    fn what_is_not_known_is_null_and_never_0() {
        let (mut collector, sources) = collector();
        sources.readiness.down(Condition::Postgres, "connection refused");
        let snapshot = serde_json::to_value(take(&mut collector)).unwrap();
        for unknown in ["/influx", "/outbox", "/postgres_pool", "/totals/pending", "/lanes/0/lag_seconds"] {
            assert!(snapshot.pointer(unknown).is_some_and(serde_json::Value::is_null), "{unknown}");
        }
        for unknown in ["/actors/0/generation", "/actors/0/in_per_second", "/flows/0/per_second", "/lanes/0/pending"] {
            assert!(snapshot.pointer(unknown).is_some_and(serde_json::Value::is_null), "{unknown}");
        }
        assert_eq!(snapshot["as_of"], "1970-01-01T00:00:00Z");
        let postgres = snapshot["conditions"].as_array().unwrap().iter().find(|of| of["name"] == "postgres").unwrap();
        assert_eq!((&postgres["up"], &postgres["required"]), (&false.into(), &true.into()));
        assert!(postgres["reason"].as_str().is_some_and(|why| why.starts_with("connection refused")), "{postgres}");
        assert_eq!(snapshot["node"]["state"], "not_ready");
        sources.readiness.begin_drain();
        assert_eq!(take(&mut collector).node.state, "draining");
        // A reader has the same type.
        let read: Snapshot = serde_json::from_value(snapshot).unwrap();
        assert_eq!(read.actors.len(), 3);
    }
}
