//! Readiness and liveness: the state behind `/ready` and `/health`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use crate::delivery::{Lane, Lanes};
use crate::metrics::Health;

/// A heartbeat older than this means that the actor tree has stalled. The supervisor sends one every second.
const HEARTBEAT_BOUND_MS: u64 = 10_000;

/// A condition of a component. Of `run` all but InfluxDB's are conditions of readiness: while InfluxDB is unreachable nothing is
/// lost and intake continues. Of `gateway` those of PostgreSQL are none, either: what is cached serves, and MQTT needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The connection to NATS.
    Nats,
    /// PostgreSQL accepts writes.
    Postgres,
    /// PostgreSQL answers look-ups and settings. Separate from [`Condition::Postgres`], because reads and writes may fail
    /// independently; shown under the same name.
    Registry,
    /// PostgreSQL is neither a standby nor read-only. Separate from [`Condition::Postgres`], because it shows without a message to
    /// write; shown under the same name.
    Writable,
    /// PostgreSQL accepts the points that InfluxDB has rejected; what depends on them waits meanwhile. Shown under the same
    /// name.
    PointQuarantine,
    /// The schema has the version of this program.
    Schema,
    /// A lane is bound to its consumer and makes progress.
    Consumer(Lane),
    /// The actor tree runs; down between generations and once the restart budget is spent.
    Tree,
    /// The gateway's streams are there, answer and have room.
    Streams,
    /// The subscription at the MQTT broker stands.
    Mqtt,
    /// InfluxDB takes the points of every tenant that has some; unknown where none are written. Down, it is a message of
    /// `/ready`.
    Influx,
}

impl Condition {
    /// The conditions that are down until a node with these lanes has started.
    fn at_start(lanes: Lanes) -> impl Iterator<Item = Condition> {
        [Condition::Nats, Condition::Postgres, Condition::Registry, Condition::Schema, Condition::Tree]
            .into_iter()
            .chain(lanes.iter().map(Condition::Consumer))
    }

    fn name(self) -> &'static str {
        match self {
            Condition::Nats => "nats",
            Condition::Postgres | Condition::Registry | Condition::Writable | Condition::PointQuarantine => "postgres",
            Condition::Schema => "schema",
            Condition::Consumer(lane) => lane.consumer(),
            Condition::Tree => "actors",
            Condition::Streams => "streams",
            Condition::Mqtt => "mqtt",
            Condition::Influx => "influx",
        }
    }
}

/// Conditions that are no conditions of readiness, but messages.
const MESSAGES_OF_NODE: &[Condition] = &[Condition::Influx];
const MESSAGES_OF_GATEWAY: &[Condition] = &[Condition::Postgres, Condition::Registry, Condition::Writable];

/// A component of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// As in `ingest_component_up`.
    pub name: &'static str,
    /// Why it does not do its work; empty while it does.
    pub reasons: Vec<String>,
    /// Whether the node is not ready without it.
    pub is_required: bool,
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
    /// The known conditions, each with the reason why it does not hold.
    conditions: BTreeMap<Condition, Option<String>>,
    messages: BTreeMap<String, String>,
    draining: bool,
    /// The conditions that are messages only.
    optional: &'static [Condition],
}

impl Readiness {
    /// As [`Readiness::of`], with the lanes that every node runs.
    pub fn new() -> Arc<Self> {
        Self::of(Lanes::default())
    }

    /// A node with these lanes that is starting: its conditions are down.
    pub fn of(lanes: Lanes) -> Arc<Self> {
        Self::starting(Condition::at_start(lanes), MESSAGES_OF_NODE)
    }

    /// A gateway that is starting: these conditions are down.
    pub(crate) fn of_gateway(conditions: impl IntoIterator<Item = Condition>) -> Arc<Self> {
        Self::starting(conditions, MESSAGES_OF_GATEWAY)
    }

    fn starting(conditions: impl IntoIterator<Item = Condition>, optional: &'static [Condition]) -> Arc<Self> {
        let starting = |condition| (condition, Some("starting".to_owned()));
        let conditions = conditions.into_iter().map(starting).collect();
        Arc::new(Self {
            state: Mutex::new(State { conditions, messages: BTreeMap::new(), draining: false, optional }),
            started: Instant::now(),
            last_heartbeat_ms: AtomicU64::new(0),
        })
    }

    /// A condition holds.
    pub fn up(&self, condition: Condition) {
        self.state().conditions.insert(condition, None);
    }

    /// A condition does not hold; `why` is a short clause for people, without values of messages or secrets.
    pub fn down(&self, condition: Condition, why: impl Into<String>) {
        self.state().conditions.insert(condition, Some(why.into()));
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: Condition) -> bool {
        !self.state().down().any(|(other, _)| other == condition)
    }

    /// Sets a message that does not affect readiness (for example a stream's differing settings); one per subject.
    pub fn set_message(&self, subject: impl Into<String>, message: impl Into<String>) {
        self.state().messages.insert(subject.into(), message.into());
    }

    /// Removes a subject's message.
    pub fn clear_message(&self, subject: &str) {
        self.state().messages.remove(subject);
    }

    /// The messages, each as `subject: message`; what does not hold and is no condition of readiness is among them.
    pub fn messages(&self) -> Vec<String> {
        let state = self.state();
        let down = state.down().filter(|(condition, _)| !state.is_required(*condition));
        let messages = state.messages.iter().map(|(subject, message)| (subject.as_str(), message));
        let mut messages: Vec<_> = down.map(|(condition, why)| (condition.name(), why)).chain(messages).collect();
        messages.sort_unstable();
        messages.into_iter().map(|(subject, message)| format!("{subject}: {message}")).collect()
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
        let required = state.down().filter(|(condition, _)| state.is_required(*condition));
        let mut reasons: Vec<String> =
            required.map(|(condition, why)| format!("{}: {why}", condition.name())).collect();
        if state.draining {
            reasons.insert(0, "draining".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// The same as figures, with each component that is known.
    pub fn health(&self) -> Health {
        let state = self.state();
        let components = state.components().into_iter().map(|of| (of.name, of.reasons.is_empty())).collect();
        let ready = !state.draining && state.down().all(|(condition, _)| !state.is_required(condition));
        Health { ready, components }
    }

    /// Each component that is known, with why it does not do its work.
    pub(crate) fn components(&self) -> Vec<Component> {
        self.state().components()
    }

    /// The messages that were set, each as `subject: message`.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.state().messages.iter().map(|(subject, message)| format!("{subject}: {message}")).collect()
    }

    /// Whether the drain has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.state().draining
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

impl State {
    /// Conditions of one name are one component, which works while all of them hold.
    fn components(&self) -> Vec<Component> {
        let mut components: Vec<Component> = Vec::with_capacity(self.conditions.len());
        for (condition, down) in &self.conditions {
            let (name, is_required) = (condition.name(), self.is_required(*condition));
            match components.iter_mut().find(|component| component.name == name) {
                Some(component) => component.reasons.extend(down.clone()),
                None => components.push(Component { name, reasons: down.iter().cloned().collect(), is_required }),
            }
        }
        components
    }

    fn is_required(&self, condition: Condition) -> bool {
        !self.optional.contains(&condition)
    }

    /// The conditions that do not hold.
    fn down(&self) -> impl Iterator<Item = (Condition, &String)> {
        self.conditions.iter().filter_map(|(condition, down)| Some((*condition, down.as_ref()?)))
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
        Condition::at_start(Lanes::default()).for_each(|condition| readiness.up(condition));
        readiness
    }

    #[test]
    fn a_starting_node_is_alive_and_not_ready() {
        let readiness = Readiness::new();
        assert!(readiness.alive());
        assert_eq!(readiness.ready().unwrap_err().len(), Condition::at_start(Lanes::default()).count());
    }

    #[test]
    fn every_condition_that_is_down_is_named_until_it_is_up() {
        let readiness = working();
        assert_eq!(readiness.ready(), Ok(()));
        readiness.down(Condition::Postgres, "connection refused");
        readiness.down(Condition::Consumer(Lane::SHADOW), "deleted");
        assert!(readiness.holds(Condition::Registry) && !readiness.holds(Condition::Postgres));
        let expected = ["postgres: connection refused", "ingest-shadow: deleted"].map(str::to_owned).to_vec();
        assert_eq!(readiness.ready(), Err(expected));
        readiness.up(Condition::Postgres);
        readiness.up(Condition::Consumer(Lane::SHADOW));
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
    fn influxdb_is_a_message_and_a_component_that_is_down_and_the_node_stays_ready() {
        let readiness = working();
        let influx = |readiness: &Readiness| {
            let components = readiness.health().components;
            components.into_iter().find_map(|(name, is_up)| (name == "influx").then_some(is_up))
        };
        assert_eq!(influx(&readiness), None, "unknown where no points are written");
        readiness.up(Condition::Influx);
        assert_eq!(influx(&readiness), Some(true));
        readiness.down(Condition::Influx, "it does not answer");
        readiness.set_message("a", "first");
        assert_eq!(readiness.messages(), ["a: first", "influx: it does not answer"]);
        assert_eq!((readiness.ready(), readiness.health().ready, influx(&readiness)), (Ok(()), true, Some(false)));
    }

    #[test]
    fn conditions_of_one_name_are_one_component_that_is_up_while_all_of_them_hold() {
        let readiness = working();
        let health = readiness.health();
        let names: Vec<_> = health.components.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["nats", "postgres", "schema", "ingest-workers", "ingest-shadow", "ingest-commands", "actors"]
        );
        assert!(health.ready && health.components.iter().all(|(_, is_up)| *is_up));
        readiness.down(Condition::Registry, "connection refused");
        let health = readiness.health();
        assert!(!health.ready && health.components.contains(&("postgres", false)), "{health:?}");
        readiness.up(Condition::Registry);
        readiness.begin_drain();
        let health = readiness.health();
        assert!(!health.ready && health.components.contains(&("postgres", true)), "{health:?}");
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
