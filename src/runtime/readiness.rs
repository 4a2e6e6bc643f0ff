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
pub enum Condition {
    /// The connection to NATS.
    Nats,
    /// PostgreSQL takes writes.
    Postgres,
    /// PostgreSQL answers look-ups and settings. A condition of its own, for writes may fail while reads work, and the
    /// other way round; shown under the same name.
    Registry,
    /// PostgreSQL takes the points that InfluxDB has refused: what waits for them is held meanwhile. Shown under the same
    /// name, too.
    PointQuarantine,
    /// The schema is the one this program knows.
    Schema,
    /// A lane's consumer exists and is being pulled.
    Consumer(Lane),
    /// The actors live; down once the supervisor has given up.
    Tree,
}

impl Condition {
    /// What has to be up before the node is ready for the first time.
    const NEEDED: [Condition; 8] = [
        Condition::Nats,
        Condition::Postgres,
        Condition::Registry,
        Condition::Schema,
        Condition::Consumer(Lane::Telemetry),
        Condition::Consumer(Lane::Shadow),
        Condition::Consumer(Lane::Commands),
        Condition::Tree,
    ];

    fn name(self) -> &'static str {
        match self {
            Condition::Nats => "nats",
            Condition::Postgres | Condition::Registry | Condition::PointQuarantine => "postgres",
            Condition::Schema => "schema",
            Condition::Consumer(lane) => lane.consumer(),
            Condition::Tree => "actors",
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
    down: BTreeMap<Condition, String>,
    notes: BTreeMap<String, String>,
    draining: bool,
}

impl Readiness {
    /// A node that is starting: every part is down until someone says otherwise.
    pub fn new() -> Arc<Self> {
        let down = Condition::NEEDED.into_iter().map(|part| (part, "starting".to_owned())).collect();
        Arc::new(Self {
            board: Mutex::new(Board { down, notes: BTreeMap::new(), draining: false }),
            started: Instant::now(),
            last_beat_ms: AtomicU64::new(0),
        })
    }

    /// A part works.
    pub fn up(&self, part: Condition) {
        self.board().down.remove(&part);
    }

    /// A part does not work; `why` is a short clause for people, without values of messages or secrets.
    pub fn down(&self, part: Condition, why: impl Into<String>) {
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
        let readiness = Readiness::new();
        Condition::NEEDED.into_iter().for_each(|part| readiness.up(part));
        readiness
    }

    #[test]
    fn a_starting_node_is_alive_and_not_ready() {
        let readiness = Readiness::new();
        assert!(readiness.alive());
        assert_eq!(readiness.ready().unwrap_err().len(), Condition::NEEDED.len());
    }

    #[test]
    fn every_part_that_is_away_is_named_until_it_is_back() {
        let readiness = working();
        assert_eq!(readiness.ready(), Ok(()));
        readiness.down(Condition::Postgres, "connection refused");
        readiness.down(Condition::Consumer(Lane::Shadow), "deleted");
        let expected = ["postgres: connection refused", "ingest-shadow: deleted"].map(str::to_owned).to_vec();
        assert_eq!(readiness.ready(), Err(expected));
        readiness.up(Condition::Postgres);
        readiness.up(Condition::Consumer(Lane::Shadow));
        assert_eq!(readiness.ready(), Ok(()));
    }

    #[test]
    fn a_draining_node_is_not_ready_although_everything_works() {
        let readiness = working();
        readiness.begin_drain();
        assert_eq!(readiness.ready(), Err(vec!["draining".to_owned()]));
        assert!(readiness.alive());
    }

    #[test]
    fn a_note_does_not_touch_readiness() {
        let readiness = working();
        readiness.note("ingest-workers", "ack_wait is 5 s");
        assert_eq!(readiness.ready(), Ok(()));
        assert_eq!(readiness.notes(), ["ingest-workers: ack_wait is 5 s"]);
        readiness.clear_note("ingest-workers");
        assert!(readiness.notes().is_empty());
    }

    #[test]
    fn a_stale_heartbeat_means_dead() {
        let readiness = working();
        readiness.beat();
        assert!(readiness.alive());
        assert!(is_fresh(1, BEAT_BOUND_MS));
        assert!(!is_fresh(1, BEAT_BOUND_MS + 1));
    }
}
