//! Sends pages the way of all points, through the tenant's batcher, and learns which of them are confirmed.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::track::Counts;
use crate::delivery::pending_ack::{Outbox, Released};
use crate::message::{Drain, Point, Points, QuarantinePoints, RejectedPoint};
use crate::outbox::policy::WritePolicy;
use crate::runtime::actor_guard::ActorExit;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;
use crate::sink::influx::{self, Backend, Parts, Router};

/// Most lines on their way at once: what keeps a target busy that answers once a second, and little enough to hold.
pub(super) const LINES_ON_THEIR_WAY: u64 = 40_000;

/// Their bytes, beyond which no other page is read: with that page, less than one tenant may hold (`buffer_total_bytes`).
pub(super) const BYTES_ON_THEIR_WAY: u64 = 32 * 1024 * 1024;

/// Rejections that are reported in full.
const EXAMPLES: usize = 5;

/// A router of the command's own, and what it is working on.
pub(super) struct Sender {
    router: Addr<Router>,
    outbox: Outbox,
    released: UnboundedReceiver<Released>,
    exits: UnboundedReceiver<ActorExit>,
    rejections: Arc<Rejections>,
    stats: Arc<Stats>,
    /// Pages on their way, by the number of their sending.
    in_flight: HashMap<i64, PageInFlight>,
    sendings: i64,
    lines: u64,
    bytes: u64,
}

struct PageInFlight {
    page: u64,
    counts: Counts,
    bytes: u64,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// Each of its points is in the target, or refused by it for good.
    Confirmed(u64, Counts),
    /// Some were turned away, or went down with a batcher.
    Lost(u64),
    /// The router is no more: a bug.
    BatcherExited,
}

impl Sender {
    /// Starts a router that writes to this backend, within a running [`System`].
    pub(super) fn start(config: &influx::Config, backend: Backend) -> Self {
        let mut config = config.clone();
        // Nobody waits for a delivery here, and nothing is to be turned away that was read for it.
        config.write_policy = WritePolicy::BestEffort;
        config.buffer.buffer_lines = config.buffer.buffer_lines.max(2 * LINES_ON_THEIR_WAY as usize);
        config.batch.threads = 1;
        // The command itself reports; the sink's own log would run across its progress.
        let (spawn, died) = SpawnContext::detached("influx", Arc::default());
        let (outbox, released) = Outbox::new();
        let (rejections, stats) = (Arc::new(Rejections::default()), Stats::new());
        let quarantine = RejectionCollector(rejections.clone()).start().recipient();
        let router = Router::new(Parts { config, backend, quarantine, spawn, stats: stats.clone() }).start();
        Self {
            router,
            outbox,
            released,
            exits: died,
            rejections,
            stats,
            in_flight: HashMap::new(),
            sendings: 0,
            lines: 0,
            bytes: 0,
        }
    }

    /// Sends the points of a page.
    pub(super) fn send(&mut self, tenant_id: &Arc<str>, page: u64, mut points: Vec<Point>, counts: Counts) {
        self.sendings += 1;
        let bytes = points.iter().map(|point| point.line.len() as u64).sum();
        self.lines += counts.points;
        self.bytes += bytes;
        self.in_flight.insert(self.sendings, PageInFlight { page, counts, bytes });
        let pending_ack = self.outbox.claim(vec![self.sendings], tenant_id.clone());
        for point in &mut points {
            point.owed = pending_ack.clone_ref();
        }
        if !points.is_empty() {
            self.router.do_send(Points { tenant_id: tenant_id.clone(), points });
        }
        pending_ack.discard();
    }

    /// Lines on their way.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether pages are on their way.
    pub(super) fn is_busy(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The next page whose fate is known.
    pub(super) async fn completed(&mut self) -> Completed {
        loop {
            let released = tokio::select! {
                biased;
                released = self.released.recv() => released,
                _ = self.exits.recv() => None,
            };
            let Some(released) = released else { return Completed::BatcherExited };
            let Some((sending, page_in_flight)) =
                released.ids.first().and_then(|sending| Some((*sending, self.in_flight.remove(sending)?)))
            else {
                continue;
            };
            let PageInFlight { page, counts, bytes } = page_in_flight;
            self.lines -= counts.points;
            self.bytes -= bytes;
            let refused = self.rejections.take(sending);
            if !released.is_clear {
                return Completed::Lost(page);
            }
            return Completed::Confirmed(page, Counts { written: released.confirmed - refused, refused, ..counts });
        }
    }

    /// Why a tenant's database takes nothing, where it does not.
    pub(super) fn failure(&self, tenant_id: &str) -> Option<String> {
        let tenant = self.state(tenant_id)?;
        (tenant["breaker"] == "open").then(|| words(&tenant))
    }

    /// What last went wrong with a tenant's database.
    pub(super) fn last_error(&self, tenant_id: &str) -> String {
        self.state(tenant_id).as_ref().map(words).unwrap_or_default()
    }

    fn state(&self, tenant_id: &str) -> Option<Value> {
        let stats = self.stats.collect();
        stats.get("influx")?["tenants"].as_array()?.iter().find(|tenant| tenant["tenant_id"] == tenant_id).cloned()
    }

    /// The first rejections since the last call, in the server's words.
    pub(super) fn take_examples(&self) -> Vec<String> {
        std::mem::take(&mut self.rejections.lock().examples)
    }

    /// Lets the batchers finish: files are made durable and get their names.
    pub(super) async fn close(self) {
        // A router that is gone has nothing left to finish.
        let _ = self.router.send(Drain).await;
    }
}

fn words(tenant: &Value) -> String {
    tenant["last_error"].as_str().unwrap_or_default().to_owned()
}

/// Stands in for the quarantine writer: rejected points are counted and reported, their rows stay as they are.
struct RejectionCollector(Arc<Rejections>);

impl Actor for RejectionCollector {
    type Context = Context<Self>;
}

impl Handler<QuarantinePoints> for RejectionCollector {
    type Result = ();

    fn handle(&mut self, message: QuarantinePoints, _: &mut Context<Self>) {
        message.points.into_iter().for_each(|point| self.0.add(point));
    }
}

/// Rejected points, by the sending that they were part of.
#[derive(Debug, Default)]
struct Rejections(Mutex<RejectedPoints>);

#[derive(Debug, Default)]
struct RejectedPoints {
    by_sending: HashMap<i64, u64>,
    examples: Vec<String>,
}

impl Rejections {
    fn add(&self, point: RejectedPoint) {
        let RejectedPoint { origin, message, owed, .. } = point;
        let mut counts = self.lock();
        if let Some(sending) = owed.ids().first() {
            *counts.by_sending.entry(*sending).or_default() += 1;
        }
        if counts.examples.len() < EXAMPLES {
            // A terminal should not do what a metric's name says.
            let message = message.replace(char::is_control, "?");
            counts.examples.push(format!("{} {}: {message}", origin.stream, origin.stream_seq));
        }
        drop(counts);
        owed.confirm();
    }

    /// How many of a sending's points were rejected; forgets them.
    fn take(&self, sending: i64) -> u64 {
        self.lock().by_sending.remove(&sending).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, RejectedPoints> {
        self.0.lock()
    }
}
