//! The collector: makes a snapshot from shared counters. It sends no message, so it never waits for an actor.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::actors::{self, rfc3339};
use super::progress::Progress;
use super::rates::{Rates, rounded};
use super::rejections::RecentReasons;
use super::snapshot::{ActorState, ConditionState, NodeState, Snapshot, Totals, Viewers};
use super::{flows, lanes, sinks};
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
            last: None,
            rates: Rates::default(),
            progress: Progress::default(),
            reasons: RecentReasons::default(),
        }
    }

    /// The snapshot of this moment.
    pub(super) fn take(&mut self, now: Instant, time: SystemTime, viewers: Viewers) -> Snapshot {
        let elapsed = self.last.replace(now).map(|last| now.saturating_duration_since(last));
        self.rates.begin(elapsed);
        self.progress.begin(elapsed.unwrap_or(Duration::ZERO));
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
