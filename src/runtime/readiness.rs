//! What the node knows of its own condition: the board behind `/health` and `/ready`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::delivery::Lane;

/// A heartbeat older than this means that the actor tree stands still. Root beats every second.
const BEAT_BOUND_MS: u64 = 10_000;

/// What readiness depends on. InfluxDB is not among them: with it away nothing is lost and nothing waits at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The connection to NATS.
    Nats,
    /// PostgreSQL takes writes.
    Postgres,
    /// PostgreSQL answers look-ups and settings. A condition of its own, for writes may fail while reads work, and the
    /// other way round; shown under the same name.
    Registry,
    /// The schema is the one this program knows.
    Schema,
    /// A lane's consumer exists and is being pulled.
    Consumer(Lane),
    /// The actors live; down once the supervisor has given up.
    Tree,
}

impl Part {
    const ALL: [Part; 8] = [
        Part::Nats,
        Part::Postgres,
        Part::Registry,
        Part::Schema,
        Part::Consumer(Lane::Telemetry),
        Part::Consumer(Lane::Shadow),
        Part::Consumer(Lane::Commands),
        Part::Tree,
    ];

    fn name(self) -> &'static str {
        match self {
            Part::Nats => "nats",
            Part::Postgres | Part::Registry => "postgres",
            Part::Schema => "schema",
            Part::Consumer(lane) => lane.consumer(),
            Part::Tree => "actors",
        }
    }
}

/// The board. Any thread sets its part, any thread reads.
#[derive(Debug)]
pub struct Readiness {
    board: Mutex<Board>,
    started: Instant,
    /// Milliseconds from `started` to the last beat; 0 = Root does not run yet.
    last_beat_ms: AtomicU64,
}

#[derive(Debug)]
struct Board {
    down: BTreeMap<Part, String>,
    notes: BTreeMap<String, String>,
    draining: bool,
}

impl Readiness {
    /// A node that is starting: every part is down until someone says otherwise.
    pub fn new() -> Arc<Self> {
        let down = Part::ALL.into_iter().map(|part| (part, "starting".to_owned())).collect();
        Arc::new(Self {
            board: Mutex::new(Board { down, notes: BTreeMap::new(), draining: false }),
            started: Instant::now(),
            last_beat_ms: AtomicU64::new(0),
        })
    }

    /// A part works.
    pub fn up(&self, part: Part) {
        self.board().down.remove(&part);
    }

    /// A part does not work; `why` is a short clause for people, without values of messages or secrets.
    pub fn down(&self, part: Part, why: impl Into<String>) {
        self.board().down.insert(part, why.into());
    }

    /// Leaves a remark that does not affect readiness (a stream's differing settings, say); one per subject.
    pub fn note(&self, subject: impl Into<String>, remark: impl Into<String>) {
        self.board().notes.insert(subject.into(), remark.into());
    }

    /// Takes a remark back.
    pub fn clear_note(&self, subject: &str) {
        self.board().notes.remove(subject);
    }

    /// The remarks, each as `subject: remark`.
    pub fn notes(&self) -> Vec<String> {
        self.board().notes.iter().map(|(subject, remark)| format!("{subject}: {remark}")).collect()
    }

    /// The drain has begun: not ready from now on, whatever works.
    pub fn begin_drain(&self) {
        self.board().draining = true;
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.board().draining
    }

    /// Whether the node should be given work.
    ///
    /// # Errors
    /// Every reason why not, each as `part: reason`.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let board = self.board();
        let mut reasons: Vec<String> = board.down.iter().map(|(part, why)| format!("{}: {why}", part.name())).collect();
        if board.draining {
            reasons.insert(0, "draining".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Root's sign of life, every second.
    pub fn beat(&self) {
        self.last_beat_ms.store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    /// Whether the actor tree runs. True before the first beat: waiting for dependencies at start-up has its own bound.
    pub fn alive(&self) -> bool {
        is_fresh(self.last_beat_ms.load(Ordering::Relaxed), self.elapsed_ms())
    }

    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a beat at `beat_ms` (0 = none yet) still counts at `now_ms`.
fn is_fresh(beat_ms: u64, now_ms: u64) -> bool {
    beat_ms == 0 || now_ms.saturating_sub(beat_ms) < BEAT_BOUND_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> Arc<Readiness> {
        let health = Readiness::new();
        Part::ALL.into_iter().for_each(|part| health.up(part));
        health
    }

    #[test]
    fn a_starting_node_is_alive_and_not_ready() {
        let health = Readiness::new();
        assert!(health.alive());
        assert_eq!(health.ready().unwrap_err().len(), Part::ALL.len());
    }

    #[test]
    fn every_part_that_is_away_is_named_until_it_is_back() {
        let health = working();
        assert_eq!(health.ready(), Ok(()));
        health.down(Part::Postgres, "connection refused");
        health.down(Part::Consumer(Lane::Shadow), "deleted");
        let expected = ["postgres: connection refused", "ingest-shadow: deleted"].map(str::to_owned).to_vec();
        assert_eq!(health.ready(), Err(expected));
        health.up(Part::Postgres);
        health.up(Part::Consumer(Lane::Shadow));
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_draining_node_is_not_ready_although_everything_works() {
        let health = working();
        health.begin_drain();
        assert_eq!(health.ready(), Err(vec!["draining".to_owned()]));
        assert!(health.alive());
    }

    #[test]
    fn a_note_does_not_touch_readiness() {
        let health = working();
        health.note("ingest-workers", "ack_wait is 5 s");
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.notes(), ["ingest-workers: ack_wait is 5 s"]);
        health.clear_note("ingest-workers");
        assert!(health.notes().is_empty());
    }

    #[test]
    fn a_stale_heartbeat_means_dead() {
        let health = working();
        health.beat();
        assert!(health.alive());
        assert!(is_fresh(1, BEAT_BOUND_MS));
        assert!(!is_fresh(1, BEAT_BOUND_MS + 1));
    }
}
