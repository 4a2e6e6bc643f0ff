//! What is owed to each tenant's database, and what `/stats` and the metrics show of it.
//!
//! The router takes lines into a tenant's buffer when it hands them to the batcher, the batcher ends them there when
//! their fate is known. What a dead batcher has left open is reset, so that nothing is ever miscounted for good.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use super::batch::Entry;
use super::batcher_life::BatcherLife;
use crate::metrics::{BatcherFigures, BatcherReading, InfluxMetrics, Label, LineResult, Traffic};

/// What is kept of a line beside its text: half as much again, with a line of usual length.
const BESIDE_A_LINE: u64 = size_of::<Entry>() as u64;

/// Batchers that are shown one by one.
const MOST_SHOWN: usize = 20;

/// All buffers of a router.
#[derive(Debug)]
pub(super) struct Buffers {
    tenants: Mutex<BTreeMap<Arc<str>, Arc<BufferStats>>>,
    total: Arc<Total>,
    /// The traffic of all batchers.
    batchers: Arc<Traffic>,
}

/// What all buffers have in common.
#[derive(Debug)]
struct Total {
    metrics: InfluxMetrics,
    /// What becomes of lines whose batcher dies: it follows from the policy.
    lost_as: LineResult,
    held_lines: AtomicU64,
    held_bytes: AtomicU64,
    attempts: AtomicU64,
    /// Until when a batcher waits as its server has asked it to, in milliseconds from `started` on.
    waits_until_ms: AtomicU64,
    started: Instant,
}

impl Buffers {
    /// No buffers yet. `lost_as`: what becomes of lines whose batcher dies, deliveries or best effort.
    pub(super) fn new(metrics: InfluxMetrics, lost_as: LineResult, batchers: Arc<Traffic>) -> Arc<Self> {
        let counter = || AtomicU64::new(0);
        let total = Total {
            metrics,
            lost_as,
            held_lines: counter(),
            held_bytes: counter(),
            attempts: counter(),
            waits_until_ms: counter(),
            started: Instant::now(),
        };
        Arc::new(Self { tenants: Mutex::default(), total: Arc::new(total), batchers })
    }

    /// Opens a tenant's buffer.
    pub(super) fn open(&self, tenant_id: &Arc<str>) -> Arc<BufferStats> {
        let buffer = Arc::new(BufferStats::new(self.total.clone(), &self.batchers));
        self.tenants().insert(tenant_id.clone(), buffer.clone());
        buffer
    }

    /// Forgets a tenant that nothing is owed to.
    pub(super) fn close(&self, tenant_id: &str) {
        self.tenants().remove(tenant_id);
    }

    /// Lines in all buffers and requests.
    pub(super) fn held_lines(&self) -> u64 {
        self.total.held_lines.load(Ordering::Relaxed)
    }

    /// Memory of all buffers and requests: the lines, and what is kept of each beside it.
    pub(super) fn held_bytes(&self) -> u64 {
        self.total.held_bytes.load(Ordering::Relaxed) + self.held_lines() * BESIDE_A_LINE
    }

    /// Requests that have ended, however they did: a number that changes as long as the batchers get on.
    pub(super) fn attempts(&self) -> u64 {
        self.total.attempts.load(Ordering::Relaxed)
    }

    /// Whether a batcher waits on purpose: standing still is no sign of a stall then.
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        let until = Duration::from_millis(self.total.waits_until_ms.load(Ordering::Relaxed));
        now < self.total.started + until
    }

    /// The batchers one by one, as many as are shown.
    pub(super) fn figures(&self) -> BatcherFigures {
        let tenants = self.tenants();
        let mut shown: Vec<(&Arc<str>, &Arc<BufferStats>)> = tenants.iter().collect();
        // In steps of thousands, so that those that are well keep their places.
        shown.sort_by_cached_key(|(_, buffer)| {
            Reverse((buffer.is_failing(), buffer.held_lines() / 1_000, buffer.requests.load(Ordering::Relaxed)))
        });
        shown.truncate(MOST_SHOWN);
        BatcherFigures {
            tenants: tenants.len() as u64,
            held_lines: self.held_lines(),
            held_bytes: self.held_bytes(),
            shown: shown.into_iter().map(|(tenant_id, buffer)| buffer.figures(tenant_id)).collect(),
        }
    }

    /// The tenants' states for `/stats`.
    pub(super) fn to_json(&self) -> Value {
        let tenants = self.tenants();
        let states: Vec<Value> = tenants.iter().map(|(tenant_id, buffer)| buffer.to_json(tenant_id)).collect();
        json!({"held_lines": self.held_lines(), "held_bytes": self.held_bytes(), "tenants": states})
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<BufferStats>>> {
        self.tenants.lock()
    }
}

/// One tenant's buffer. Any thread may use it.
#[derive(Debug)]
pub(super) struct BufferStats {
    total: Arc<Total>,
    /// The batcher as an actor.
    pub(super) life: BatcherLife,
    held_lines: AtomicU64,
    held_bytes: AtomicU64,
    in_flight: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    ended: [AtomicU64; LineResult::ALL.len()],
    failing: AtomicBool,
    open: AtomicBool,
    last_error: Mutex<String>,
    /// How many values their columns could not hold, by column.
    type_conflicts: Mutex<BTreeMap<String, u64>>,
}

impl BufferStats {
    fn new(total: Arc<Total>, batchers: &Arc<Traffic>) -> Self {
        let counter = || AtomicU64::new(0);
        Self {
            total,
            life: BatcherLife::new(batchers),
            held_lines: counter(),
            held_bytes: counter(),
            in_flight: counter(),
            requests: counter(),
            failures: counter(),
            ended: std::array::from_fn(|_| counter()),
            failing: AtomicBool::new(false),
            open: AtomicBool::new(false),
            last_error: Mutex::default(),
            type_conflicts: Mutex::default(),
        }
    }

    /// Lines are handed to the batcher.
    pub(super) fn enqueue(&self, lines: usize, bytes: usize) {
        let lines = lines as u64;
        self.held_lines.fetch_add(lines, Ordering::Relaxed);
        self.held_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.total.held_lines.fetch_add(lines, Ordering::Relaxed);
        self.total.held_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.total.metrics.buffered_lines.inc_by(lines as i64);
        self.total.metrics.unconfirmed_lines.inc_by(lines as i64);
    }

    /// Lines have met their fate.
    pub(super) fn end(&self, result: LineResult, lines: usize, bytes: usize) {
        let lines = lines as u64;
        self.held_lines.fetch_sub(lines, Ordering::Relaxed);
        self.total.held_lines.fetch_sub(lines, Ordering::Relaxed);
        self.resize(bytes, 0);
        self.ended[result.index()].fetch_add(lines, Ordering::Relaxed);
        self.total.metrics.lines.of(result).inc_by(lines);
        self.total.metrics.buffered_lines.dec_by(lines as i64);
        // What is deferred stays owed, but from now on the replay has it on record.
        self.total.metrics.unconfirmed_lines.dec_by(lines as i64);
    }

    /// Lines that are held take other room than they did.
    pub(super) fn resize(&self, before: usize, after: usize) {
        let (less, more) = (before.saturating_sub(after) as u64, after.saturating_sub(before) as u64);
        for held in [&self.held_bytes, &self.total.held_bytes] {
            held.fetch_add(more, Ordering::Relaxed);
            held.fetch_sub(less, Ordering::Relaxed);
        }
    }

    /// Ends whatever is open: the batcher is no more. Returns how many lines that were.
    pub(super) fn reset(&self) -> u64 {
        let (lines, bytes) = (self.held_lines(), self.held_bytes.load(Ordering::Relaxed));
        self.end(self.total.lost_as, lines as usize, bytes as usize);
        self.in_flight.store(0, Ordering::Relaxed);
        self.set_state(false, false);
        lines
    }

    /// Lines that the batcher has and whose fate is open.
    pub(super) fn held_lines(&self) -> u64 {
        self.held_lines.load(Ordering::Relaxed)
    }

    /// The memory that they take, as [`Buffers::held_bytes`] counts it.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed) + self.held_lines() * BESIDE_A_LINE
    }

    /// Whether the database fails or keeps requests waiting: then deliveries are better handed back than held.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// What the batcher knows of the database.
    pub(super) fn set_state(&self, failing: bool, open: bool) {
        self.failing.store(failing, Ordering::Relaxed);
        let was_open = self.open.swap(open, Ordering::Relaxed);
        self.total.metrics.breakers_open.inc_by(i64::from(open) - i64::from(was_open));
    }

    /// Nothing is sent before that time, as the server has asked for or as follows from its failures.
    pub(super) fn waits_until(&self, until: Instant) {
        let until = until.saturating_duration_since(self.total.started).as_millis() as u64;
        self.total.waits_until_ms.fetch_max(until, Ordering::Relaxed);
    }

    /// A request is sent.
    pub(super) fn request_sent(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended; with the reason where the database did not take it.
    pub(super) fn request_ended(&self, error: Option<&str>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.total.attempts.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = error {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.remember(error);
        }
    }

    /// The last thing that went wrong, for `/stats`. Never holds a line or a token.
    pub(super) fn remember(&self, error: &str) {
        error.clone_into(&mut self.last_error.lock());
    }

    /// A value did not fit its column's type, or has no column. At most `most` columns are named.
    pub(super) fn type_conflict(&self, column: &str, most: usize) {
        let mut type_conflicts = self.type_conflicts.lock();
        if let Some(values) = type_conflicts.get_mut(column) {
            *values += 1;
        } else if type_conflicts.len() < most {
            type_conflicts.insert(column.to_owned(), 1);
        }
    }

    fn figures(&self, tenant_id: &Arc<str>) -> BatcherReading {
        let is_open = self.open.load(Ordering::Relaxed);
        self.life.add_to(BatcherReading {
            tenant_id: tenant_id.clone(),
            is_waiting: is_open,
            breaker: self.breaker(),
            held_lines: self.held_lines(),
            held_bytes: self.held_bytes(),
            requests_in_flight: self.in_flight.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            requests_failed: self.failures.load(Ordering::Relaxed),
            lines_ok: self.ended[LineResult::Ok.index()].load(Ordering::Relaxed),
            lines_ended: self.ended.iter().map(|ended| ended.load(Ordering::Relaxed)).sum(),
            last_error: self.last_error.lock().clone(),
            ..BatcherReading::default()
        })
    }

    fn breaker(&self) -> &'static str {
        match (self.open.load(Ordering::Relaxed), self.is_failing()) {
            (true, _) => "open",
            (false, true) => "troubled",
            (false, false) => "closed",
        }
    }

    fn to_json(&self, tenant_id: &str) -> Value {
        let ended = |result: LineResult| self.ended[result.index()].load(Ordering::Relaxed);
        json!({
            "tenant_id": tenant_id,
            "held_lines": self.held_lines(),
            "requests_in_flight": self.in_flight.load(Ordering::Relaxed),
            "requests": self.requests.load(Ordering::Relaxed),
            "requests_failed": self.failures.load(Ordering::Relaxed),
            "breaker": self.breaker(),
            "last_error": *self.last_error.lock(),
            "misfits": *self.type_conflicts.lock(),
            "lines": {
                "ok": ended(LineResult::Ok),
                "refused": ended(LineResult::Refused),
                "deferred": ended(LineResult::Deferred),
                "returned": ended(LineResult::Returned),
            },
        })
    }
}

impl Drop for BufferStats {
    fn drop(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn every_line_is_held_until_its_fate_is_known() {
        let metrics = Metrics::new();
        let buffers = Buffers::new(metrics.influx.clone(), LineResult::Deferred, Arc::default());
        let buffer = buffers.open(&"acme".into());
        buffer.enqueue(10, 1_000);
        buffer.resize(200, 100);
        buffer.resize(10, 14);
        buffer.resize(14, 10);
        buffer.end(LineResult::Ok, 4, 300);
        buffer.end(LineResult::Deferred, 3, 200);
        assert_eq!((buffer.held_lines(), buffers.held_lines()), (3, 3));
        let memory = 400 + 3 * BESIDE_A_LINE;
        assert_eq!((buffer.held_bytes(), buffers.held_bytes()), (memory, memory));
        assert_eq!(metrics.influx.buffered_lines.get(), 3);
        assert_eq!(metrics.influx.unconfirmed_lines.get(), 3, "what is deferred is the replay's to count");
    }

    #[test]
    fn a_wait_that_the_server_asked_for_is_no_standstill_until_it_is_over() {
        let buffers = Buffers::new(Metrics::new().influx.clone(), LineResult::Deferred, Arc::default());
        let (one, other, now) = (buffers.open(&"acme".into()), buffers.open(&"zeta".into()), Instant::now());
        assert!(!buffers.is_waiting(now));
        one.waits_until(now + Duration::from_secs(60));
        other.waits_until(now + Duration::from_secs(1));
        assert!(buffers.is_waiting(now + Duration::from_secs(59)));
        assert!(!buffers.is_waiting(now + Duration::from_secs(60)));
    }

    #[test]
    fn what_a_dead_batcher_held_is_reset() {
        let metrics = Metrics::new();
        let buffers = Buffers::new(metrics.influx.clone(), LineResult::Returned, Arc::default());
        let buffer = buffers.open(&"acme".into());
        buffer.enqueue(10, 1_000);
        buffer.request_sent();
        buffer.set_state(true, true);
        assert_eq!(metrics.influx.breakers_open.get(), 1);
        assert_eq!(buffer.reset(), 10);
        assert_eq!((buffers.held_lines(), buffers.held_bytes()), (0, 0));
        assert_eq!(metrics.influx.lines.of(LineResult::Returned).get(), 10);
        assert_eq!((metrics.influx.unconfirmed_lines.get(), metrics.influx.breakers_open.get()), (0, 0));
        let tenant = &buffers.to_json()["tenants"][0];
        assert_eq!((&tenant["breaker"], &tenant["requests_in_flight"]), (&json!("closed"), &json!(0)));
        buffers.close("acme");
        assert_eq!(buffers.to_json()["tenants"], json!([]));
        buffer.enqueue(5, 100);
        drop(buffer);
        assert_eq!((buffers.held_lines(), metrics.influx.buffered_lines.get()), (0, 0));
    }
}
