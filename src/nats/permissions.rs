//! Permission violations: the server reports them as connection errors, not as answers to the request concerned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, info, warn};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::log_once::LogOnce;
use ingest_core::flow::permission::{self, Operation};

/// Subjects that are remembered as logged. The node uses a handful; any beyond are only counted.
const MAX_LOGGED: usize = 256;

/// The violations of all connections.
#[derive(Debug)]
pub(crate) struct Permissions {
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest violation of each kind; without a lane where it concerns all of them.
    newest: BTreeMap<(Operation, Option<Lane>), Denial>,
    /// Their subjects.
    logged: LogOnce,
}

/// A denied operation.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// The server's message.
    pub message: String,
    /// When it arrived.
    pub at: Instant,
}

impl Permissions {
    /// No violations yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let state = State { newest: BTreeMap::new(), logged: LogOnce::new(MAX_LOGGED) };
        Arc::new(Self { metrics, state: Mutex::new(state) })
    }

    /// Records a server error if it is a permission violation, and returns whether it is. Logged once per subject, until
    /// the operation is allowed again.
    pub(crate) fn record(&self, message: &str, log: &Logger) -> bool {
        let Some(violation) = permission::read(message) else { return false };
        self.metrics.nats.permission_violations.of(violation.operation).inc();
        let lane = Lane::all().find(|lane| violation.subject.split('.').any(|token| token == lane.stream()));
        let denial = Denial { message: message.to_owned(), at: Instant::now() };
        let is_new = {
            let mut state = self.state();
            state.newest.insert((violation.operation, lane), denial);
            state.logged.is_new(&violation.subject)
        };
        match violation.operation {
            // The node works without advisories.
            Operation::Advisory if is_new => info!(log, "nats does not permit"; "error" => message),
            _ if is_new => warn!(log, "nats does not permit"; "error" => message),
            _ => {}
        }
        true
    }

    /// The newest violation of an operation that concerns this lane.
    pub(crate) fn denied(&self, operation: Operation, lane: Lane) -> Option<Denial> {
        let state = self.state();
        let of = |lane| state.newest.get(&(operation, lane));
        // All lanes share the inboxes; any other subject without a lane concerns none of them.
        let shared = of(None).filter(|_| operation == Operation::Inbox);
        of(Some(lane)).into_iter().chain(shared).max_by_key(|denial| denial.at).cloned()
    }

    /// The operation is allowed again: the next violation is logged again.
    pub(crate) fn allowed(&self, operation: Operation, lane: Lane) {
        let mut state = self.state();
        let known = [state.newest.remove(&(operation, Some(lane))), state.newest.remove(&(operation, None))];
        for violation in known.into_iter().flatten().filter_map(|denial| permission::read(&denial.message)) {
            state.logged.forget(&violation.subject);
        }
    }

    /// The subjects of all violations, without what differs from message to message.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.state().logged.keys()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: &str = r#"Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.SHADOW.ingest-shadow""#;
    const INBOX: &str = r#"Permissions Violation for Subscription to "_INBOX.x.*""#;

    fn permissions() -> (Arc<Permissions>, Logger) {
        (Permissions::new(Metrics::new()), Logger::root(slog::Discard, slog::o!()))
    }

    #[test]
    fn a_violation_concerns_its_lane_or_all_of_them() {
        let (permissions, log) = permissions();
        assert!(permissions.record(PULL, &log) && permissions.record(INBOX, &log));
        assert!(!permissions.record("Slow Consumer", &log));
        let denied = |operation, lane| permissions.denied(operation, lane).map(|denial| denial.message);
        assert_eq!(denied(Operation::Pull, Lane::SHADOW).as_deref(), Some(PULL));
        assert_eq!(denied(Operation::Pull, Lane::TELEMETRY), None);
        assert_eq!(denied(Operation::Inbox, Lane::TELEMETRY).as_deref(), Some(INBOX));
        permissions.record(r#"Permissions Violation for Publish to "$JS.API.STREAM.INFO.ROUTES""#, &log);
        assert_eq!(denied(Operation::Api, Lane::TELEMETRY), None, "of no lane");
        assert_eq!(permissions.metrics.nats.permission_violations.of(Operation::Pull).get(), 1);
    }

    #[test]
    fn an_operation_allowed_again_is_forgotten() {
        let (permissions, log) = permissions();
        permissions.record(PULL, &log);
        permissions.allowed(Operation::Pull, Lane::SHADOW);
        assert!(permissions.denied(Operation::Pull, Lane::SHADOW).is_none());
        assert!(permissions.state().logged.is_new("$JS.API.CONSUMER.MSG.NEXT.SHADOW.ingest-shadow"));
    }
}
