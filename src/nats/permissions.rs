//! Permission violations: the server reports them as connection errors, not as answers to the request concerned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, info, warn};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Readiness;
use ingest_core::flow::permission::{self, Operation};

/// Subjects that are remembered as logged. The node uses a handful; any beyond are only counted.
const MAX_LOGGED: usize = 256;

/// The violations of all connections.
#[derive(Debug)]
pub(crate) struct Permissions {
    metrics: Arc<Metrics>,
    /// Gets what no lane is not ready for: a publication that is denied.
    readiness: Option<Arc<Readiness>>,
    state: Mutex<State>,
}

/// The message's subject in `/ready`.
const SUBJECT: &str = "nats permissions";

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
    pub(crate) fn new(metrics: Arc<Metrics>, readiness: Option<Arc<Readiness>>) -> Arc<Self> {
        let state = State { newest: BTreeMap::new(), logged: LogOnce::new(MAX_LOGGED) };
        Arc::new(Self { metrics, readiness, state: Mutex::new(state) })
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
        if let Some(readiness) = self.readiness.as_ref().filter(|_| violation.operation == Operation::Publish) {
            readiness.set_message(SUBJECT, message);
        }
        match violation.operation {
            // The node works without advisories.
            Operation::Advisory if is_new => info!(log, "nats does not permit"; "error" => message),
            _ if is_new => warn!(log, "nats does not permit"; "error" => message),
            _ => {}
        }
        true
    }

    /// A connection has logged in: rights change with that, and what is denied still is denied again.
    pub(crate) fn logged_in(&self) {
        if let Some(readiness) = &self.readiness {
            readiness.clear_message(SUBJECT);
        }
        self.allowed_anywhere(Operation::Publish);
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
        self.forget(|known| known == (operation, Some(lane)) || known == (operation, None));
    }

    fn allowed_anywhere(&self, operation: Operation) {
        self.forget(|(known, _)| known == operation);
    }

    fn forget(&self, is_allowed: impl Fn((Operation, Option<Lane>)) -> bool) {
        let state = &mut *self.state();
        let allowed: Vec<Denial> =
            state.newest.extract_if(.., |kind, _| is_allowed(*kind)).map(|(_, denial)| denial).collect();
        for violation in allowed.iter().filter_map(|denial| permission::read(&denial.message)) {
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
        (Permissions::new(Metrics::new(), None), Logger::root(slog::Discard, slog::o!()))
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
    fn a_publication_that_is_denied_shows_until_the_next_log_in() {
        let (readiness, log) = (Readiness::new(), Logger::root(slog::Discard, slog::o!()));
        let permissions = Permissions::new(Metrics::new(), Some(readiness.clone()));
        let denied = r#"Permissions Violation for Publish to "routes.acme.webhook""#;
        permissions.record(PULL, &log);
        assert!(readiness.messages().is_empty(), "a lane's own condition says that");
        permissions.record(denied, &log);
        assert_eq!(readiness.messages(), [format!("nats permissions: {denied}")]);
        permissions.logged_in();
        assert!(readiness.messages().is_empty());
        assert!(permissions.state().logged.is_new("routes"), "logged again where it is denied again");
        assert!(permissions.denied(Operation::Pull, Lane::SHADOW).is_some(), "of which the lane knows when it is over");
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
