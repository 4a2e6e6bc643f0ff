//! The lane's readiness condition: one reason for `/ready` from everything that is known.

use async_nats::jetstream::consumer::Info;
use slog::{info, warn};

use crate::delivery::Lane;
use crate::nats::permissions::Permissions;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Condition;
use crate::runtime::spawn::SpawnContext;
use ingest_core::flow::lane_watch::{ACKS_BOUND_SECS, LaneFault};
use ingest_core::flow::permission::Operation;

/// Refusals of pull requests that are logged, each once; the server knows a handful.
const MAX_LOGGED: usize = 32;

/// Pull requests with heartbeats are refused by nats-server 2.9 in words; 2.15 leaves the client to miss the heartbeats.
const SILENCE: &str =
    "the broker is silent: it answers no pull request (newer servers do not say `Exceeded MaxWaiting`, but nothing)";

/// Why the lane does not work; the first reason that applies is shown.
#[derive(Debug)]
pub(super) struct LaneCondition {
    /// The lane is not bound to a consumer.
    pub unbound: Option<String>,
    /// The server refuses pull requests; its message.
    pub refused: Option<String>,
    /// The broker does not answer open requests.
    pub silent: bool,
    /// The lane is bound and makes no progress.
    pub fault: Option<String>,
    /// The server has denied an operation that has not succeeded since.
    pub is_denied: bool,
    /// The broker's ack floor when it was last read.
    pub ack_floor: u64,
    /// Refusals that were logged.
    pub logged_refusals: LogOnce,
    /// Why it could not be bound, as it was logged.
    pub logged_unbound: LogOnce,
    /// The reason that `/ready` shows.
    shown: Option<String>,
}

impl Default for LaneCondition {
    fn default() -> Self {
        let starting = || Some("starting".to_owned());
        Self {
            unbound: starting(),
            refused: None,
            silent: false,
            fault: None,
            is_denied: false,
            ack_floor: 0,
            logged_refusals: LogOnce::new(MAX_LOGGED),
            logged_unbound: LogOnce::new(MAX_LOGGED),
            shown: starting(),
        }
    }
}

impl LaneCondition {
    /// Updates readiness, and logs a change.
    pub(super) fn show(&mut self, lane: Lane, permissions: &Permissions, spawn: &SpawnContext) {
        let denied = denied(lane, permissions);
        self.is_denied = denied.is_some();
        let Self { unbound, refused, silent, fault, shown, .. } = &*self;
        let silence = silent.then(|| SILENCE.to_owned());
        let reason = denied.or(unbound.clone()).or(refused.clone()).or(silence).or(fault.clone());
        if reason == *shown {
            return;
        }
        let (readiness, condition) = (&spawn.readiness, Condition::Consumer(lane));
        match &reason {
            Some(why) => {
                warn!(spawn.log, "lane not ready"; "why" => why);
                readiness.down(condition, why.clone());
            }
            None => {
                info!(spawn.log, "lane ready");
                readiness.up(condition);
            }
        }
        self.shown = reason;
    }
}

/// The server's message about the last operation of this lane that it denied.
fn denied(lane: Lane, permissions: &Permissions) -> Option<String> {
    [Operation::Pull, Operation::Ack, Operation::Inbox, Operation::Api]
        .into_iter()
        .filter_map(|operation| permissions.denied(operation, lane))
        .max_by_key(|denial| denial.at)
        .map(|denial| denial.message)
}

/// The reason for `/ready` why a lane makes no progress.
pub(super) fn describe(fault: LaneFault, info: &Info) -> String {
    match fault {
        LaneFault::Starved if info.paused => format!("paused: {} messages are pending", info.num_pending),
        LaneFault::Starved if info.num_ack_pending as i64 >= info.config.max_ack_pending.max(1) => format!(
            "max_ack_pending ({}) is reached: {} messages are pending and none has arrived for 30 s",
            info.config.max_ack_pending, info.num_pending
        ),
        LaneFault::Starved => format!("{} messages are pending and none has arrived for 30 s", info.num_pending),
        LaneFault::AcksIgnored => format!(
            "acknowledgements have no effect: the broker's ack floor has stayed at {} for {ACKS_BOUND_SECS} s",
            info.ack_floor.stream_sequence
        ),
    }
}
