//! Whether the lane works, and if not, why: one sentence for `/ready`, from whatever is known.

use async_nats::jetstream::consumer::Info;
use slog::{info, warn};

use super::Consumer;
use crate::runtime::readiness::Condition;
use ingest_core::flow::lane_watch::LaneFault;
use ingest_core::flow::permission::Operation;

/// What speaks against the lane, most telling first.
#[derive(Debug)]
pub(super) struct LaneCondition {
    /// There is no consumer to work with.
    pub unbound: Option<String>,
    /// The server refuses pull requests, in its own words.
    pub refused: Option<String>,
    /// The broker does not answer although it should.
    pub silent: bool,
    /// It looks well and does not work.
    pub ailment: Option<String>,
    /// The server has refused an operation and it has not worked since.
    pub is_denied: bool,
    /// The broker's ack floor when it was last read.
    pub ack_floor: u64,
    /// Refusals that were logged.
    pub logged: Vec<String>,
    /// The reason that the board shows.
    shown: Option<String>,
}

impl Default for LaneCondition {
    fn default() -> Self {
        let starting = || Some("starting".to_owned());
        Self {
            unbound: starting(),
            refused: None,
            silent: false,
            ailment: None,
            is_denied: false,
            ack_floor: 0,
            logged: Vec::new(),
            shown: starting(),
        }
    }
}

impl Consumer {
    /// Brings the readiness up to date.
    pub(super) fn show_condition(&mut self) {
        let denied = self.denied();
        self.condition.is_denied = denied.is_some();
        let LaneCondition { unbound, refused, silent, ailment, shown, .. } = &self.condition;
        let silence = silent.then(|| "the broker is silent".to_owned());
        let reason = denied.or(unbound.clone()).or(refused.clone()).or(silence).or(ailment.clone());
        if reason == *shown {
            return;
        }
        let (readiness, condition) = (&self.parts.spawn.readiness, Condition::Consumer(self.lane));
        match &reason {
            Some(why) => {
                warn!(self.parts.spawn.log, "lane not ready"; "why" => why);
                readiness.down(condition, why.clone());
            }
            None => {
                info!(self.parts.spawn.log, "lane ready");
                readiness.up(condition);
            }
        }
        self.condition.shown = reason;
    }

    /// The server's sentence about the last operation of this lane that it did not permit.
    fn denied(&self) -> Option<String> {
        [Operation::Pull, Operation::Ack, Operation::Inbox, Operation::Api]
            .into_iter()
            .filter_map(|operation| self.parts.permissions.refused(operation, self.lane))
            .max_by_key(|refused| refused.at)
            .map(|refused| refused.sentence)
    }
}

/// What is wrong, in words.
pub(super) fn sentence(ailment: LaneFault, info: &Info) -> String {
    match ailment {
        LaneFault::Starved if info.paused => format!("paused: {} messages are pending", info.num_pending),
        LaneFault::Starved if info.num_ack_pending as i64 >= info.config.max_ack_pending.max(1) => format!(
            "max_ack_pending ({}) is reached: {} messages are pending and none has arrived for 30 s",
            info.config.max_ack_pending, info.num_pending
        ),
        LaneFault::Starved => format!("{} messages are pending and none has arrived for 30 s", info.num_pending),
        LaneFault::AcksIgnored => format!(
            "acknowledgements have no effect: the broker's ack floor has stayed at {} for 30 s",
            info.ack_floor.stream_sequence
        ),
    }
}
