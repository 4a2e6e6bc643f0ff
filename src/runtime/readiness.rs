//! Readiness and liveness: the state behind `/ready` and `/health`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use crate::delivery::Lane;

/// A heartbeat older than this means that the actor tree has stalled. The supervisor sends one every second.
const HEARTBEAT_BOUND_MS: u64 = 10_000;

/// A readiness condition. InfluxDB is not one: while it is unreachable nothing is lost and intake continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The connection to NATS.
    Nats,
    /// PostgreSQL accepts writes.
    Postgres,
    /// PostgreSQL answers look-ups and settings. Separate from [`Condition::Postgres`], because reads and writes may fail
    /// independently; shown under the same name.
    Registry,
    /// PostgreSQL accepts the points that InfluxDB has rejected; what depends on them waits meanwhile. Shown under the same
    /// name.
    PointQuarantine,
    /// The schema has the version of this program.
    Schema,
    /// A lane is bound to its consumer and makes progress.
    Consumer(Lane),
    /// The actor tree runs; down between generations and once the restart budget is spent.
    Tree,
}

impl Condition {
    /// The conditions that are down until the node has started.
    const AT_START: [Condition; 8] = [
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

/// Readiness of the node. Any thread sets conditions, any thread reads.
#[derive(Debug)]
pub struct Readiness {
    state: Mutex<State>,
    started: Instant,
    /// Milliseconds from `started` to the last heartbeat; 0 = the supervisor does not run yet.
    last_heartbeat_ms: AtomicU64,
}

#[derive(Debug)]
struct State {
    down: BTreeMap<Condition, String>,
    messages: BTreeMap<String, String>,
    draining: bool,
}

impl Readiness {
    /// A node that is starting: its conditions are down.
    pub fn new() -> Arc<Self> {
        let down = Condition::AT_START.into_iter().map(|condition| (condition, "starting".to_owned())).collect();
        Arc::new(Self {
            state: Mutex::new(State { down, messages: BTreeMap::new(), draining: false }),
            started: Instant::now(),
            last_heartbeat_ms: AtomicU64::new(0),
        })
    }

    /// A condition holds.
    pub fn up(&self, condition: Condition) {
        self.state().down.remove(&condition);
    }

    /// A condition does not hold; `why` is a short clause for people, without values of messages or secrets.
    pub fn down(&self, condition: Condition, why: impl Into<String>) {
        self.state().down.insert(condition, why.into());
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: Condition) -> bool {
        !self.state().down.contains_key(&condition)
    }

    /// Sets a message that does not affect readiness (for example a stream's differing settings); one per subject.
    pub fn set_message(&self, subject: impl Into<String>, message: impl Into<String>) {
        self.state().messages.insert(subject.into(), message.into());
    }

    /// Removes a subject's message.
    pub fn clear_message(&self, subject: &str) {
        self.state().messages.remove(subject);
    }

    /// The messages, each as `subject: message`.
    pub fn messages(&self) -> Vec<String> {
        self.state().messages.iter().map(|(subject, message)| format!("{subject}: {message}")).collect()
    }

    /// The drain has begun: not ready from now on.
    pub fn begin_drain(&self) {
        self.state().draining = true;
    }

    /// Whether all conditions hold and the node is not draining.
    ///
    /// # Errors
    /// Every reason why not, each as `condition: reason`.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.state();
        let mut reasons: Vec<String> =
            state.down.iter().map(|(condition, why)| format!("{}: {why}", condition.name())).collect();
        if state.draining {
            reasons.insert(0, "draining".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// The supervisor's heartbeat, every second.
    pub fn heartbeat(&self) {
        self.last_heartbeat_ms.store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    /// Whether the actor tree runs. True before the first heartbeat: connecting to dependencies has its own timeout.
    pub fn alive(&self) -> bool {
        is_fresh(self.last_heartbeat_ms.load(Ordering::Relaxed), self.elapsed_ms())
    }

    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Whether a heartbeat at `heartbeat_ms` (0 = none yet) is recent at `now_ms`.
fn is_fresh(heartbeat_ms: u64, now_ms: u64) -> bool {
    heartbeat_ms == 0 || now_ms.saturating_sub(heartbeat_ms) < HEARTBEAT_BOUND_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> Arc<Readiness> {
        let readiness = Readiness::new();
        Condition::AT_START.into_iter().for_each(|condition| readiness.up(condition));
        readiness
    }

    #[test]
    fn a_starting_node_is_alive_and_not_ready() {
        let readiness = Readiness::new();
        assert!(readiness.alive());
        assert_eq!(readiness.ready().unwrap_err().len(), Condition::AT_START.len());
    }

    #[test]
    fn every_condition_that_is_down_is_named_until_it_is_up() {
        let readiness = working();
        assert_eq!(readiness.ready(), Ok(()));
        readiness.down(Condition::Postgres, "connection refused");
        readiness.down(Condition::Consumer(Lane::Shadow), "deleted");
        assert!(readiness.holds(Condition::Registry) && !readiness.holds(Condition::Postgres));
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
    fn a_message_does_not_affect_readiness() {
        let readiness = working();
        readiness.set_message("ingest-workers", "ack_wait is 5 s");
        assert_eq!(readiness.ready(), Ok(()));
        assert_eq!(readiness.messages(), ["ingest-workers: ack_wait is 5 s"]);
        readiness.clear_message("ingest-workers");
        assert!(readiness.messages().is_empty());
    }

    #[test]
    fn a_stale_heartbeat_means_not_alive() {
        let readiness = working();
        readiness.heartbeat();
        assert!(readiness.alive());
        assert!(is_fresh(1, HEARTBEAT_BOUND_MS));
        assert!(!is_fresh(1, HEARTBEAT_BOUND_MS + 1));
    }
}
