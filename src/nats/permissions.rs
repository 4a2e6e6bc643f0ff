//! What the server does not permit: it says so beside the protocol, to nobody in particular.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use slog::{Logger, info, warn};

use crate::delivery::Lane;
use crate::metrics::Metrics;
use ingest_core::flow::permission::{self, Operation};

/// Subjects that are remembered as logged. The node uses a handful; whatever is beyond is counted only.
const MAX_LOGGED: usize = 256;

/// The violations of all connections.
#[derive(Debug)]
pub(crate) struct Permissions {
    metrics: Arc<Metrics>,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// The newest violation of each kind; without a lane where it concerns all of them.
    newest: BTreeMap<(Operation, Option<Lane>), Refused>,
    logged: Vec<String>,
}

/// What was refused, and when for the last time.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The server's own sentence.
    pub sentence: String,
    /// When it came.
    pub at: Instant,
}

impl Permissions {
    /// None so far.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, board: Mutex::default() })
    }

    /// The server said something; whether that was about permissions. Logged once per subject, until it works again.
    pub(crate) fn heard(&self, sentence: &str, log: &Logger) -> bool {
        let Some(violation) = permission::read(sentence) else { return false };
        self.metrics.nats.permission_violations.of(violation.operation).inc();
        let lane = Lane::ALL.into_iter().find(|lane| violation.subject.split('.').any(|token| token == lane.stream()));
        let refused = Refused { sentence: sentence.to_owned(), at: Instant::now() };
        let is_new = {
            let mut board = self.board();
            board.newest.insert((violation.operation, lane), refused);
            let is_new = board.logged.len() < MAX_LOGGED && !board.logged.contains(&violation.subject);
            if is_new {
                board.logged.push(violation.subject);
            }
            is_new
        };
        match violation.operation {
            // The node does without.
            Operation::Advisory if is_new => info!(log, "nats does not permit"; "error" => sentence),
            _ if is_new => warn!(log, "nats does not permit"; "error" => sentence),
            _ => {}
        }
        true
    }

    /// The newest violation of an operation that concerns this lane.
    pub(crate) fn refused(&self, operation: Operation, lane: Lane) -> Option<Refused> {
        let board = self.board();
        let of = |lane| board.newest.get(&(operation, lane));
        // All lanes have their inboxes in common; any other subject without a lane is somebody else's.
        let shared = of(None).filter(|_| operation == Operation::Inbox);
        of(Some(lane)).into_iter().chain(shared).max_by_key(|refused| refused.at).cloned()
    }

    /// The operation works again: the next violation is logged again.
    pub(crate) fn works(&self, operation: Operation, lane: Lane) {
        let mut board = self.board();
        let known = [board.newest.remove(&(operation, Some(lane))), board.newest.remove(&(operation, None))];
        for violation in known.into_iter().flatten().filter_map(|refused| permission::read(&refused.sentence)) {
            board.logged.retain(|subject| *subject != violation.subject);
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(permissions.heard(PULL, &log) && permissions.heard(INBOX, &log));
        assert!(!permissions.heard("Slow Consumer", &log));
        let refused = |operation, lane| permissions.refused(operation, lane).map(|refused| refused.sentence);
        assert_eq!(refused(Operation::Pull, Lane::Shadow).as_deref(), Some(PULL));
        assert_eq!(refused(Operation::Pull, Lane::Telemetry), None);
        assert_eq!(refused(Operation::Inbox, Lane::Telemetry).as_deref(), Some(INBOX));
        permissions.heard(r#"Permissions Violation for Publish to "$JS.API.STREAM.INFO.ROUTES""#, &log);
        assert_eq!(refused(Operation::Api, Lane::Telemetry), None, "of no lane");
        assert_eq!(permissions.metrics.nats.permission_violations.of(Operation::Pull).get(), 1);
    }

    #[test]
    fn what_works_again_is_forgotten() {
        let (permissions, log) = permissions();
        permissions.heard(PULL, &log);
        permissions.works(Operation::Pull, Lane::Shadow);
        assert!(permissions.refused(Operation::Pull, Lane::Shadow).is_none());
        assert!(permissions.board().logged.is_empty());
    }
}
