//! A message handed to us once, and what the broker says of it.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;

use super::guard::DeliveryGuard;
use super::lane::Lane;
use super::settle::SettleHandle;

/// Facts that only the broker knows and that a redelivery repeats: the key of everything we store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The stream's name.
    pub stream: Arc<str>,
    /// The message's sequence number in the stream.
    pub stream_seq: u64,
    /// When the broker stored it, Unix microseconds.
    pub received_us: i64,
}

impl Origin {
    /// Whether messages of its stream may become rows of `raw_events`.
    pub fn has_rows(&self) -> bool {
        Lane::of_stream(&self.stream).is_some_and(Lane::has_rows)
    }
}

/// A message handed to us once.
#[derive(Debug)]
pub struct Delivery {
    /// Where it comes from.
    pub origin: Origin,
    /// How often the broker has delivered it, this time included; 1 = for the first time.
    pub attempt: u32,
    /// The NATS subject it was published to; empty where a test makes it by hand.
    pub subject: Subject,
    /// An earlier consumer may have delivered it: the broker stored it before the one it comes from was made. Its attempt
    /// counts from 1 again.
    pub predates_consumer: bool,
    /// The message as received.
    pub body: Bytes,
    /// The message says that it is a replay from the quarantine. Boxed: hardly any does.
    pub replay: Option<Box<Replay>>,
    guard: DeliveryGuard,
}

/// How far a delivery is a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It has this header; not looked at yet.
    Claimed(String),
    /// An operator signed it: [`Delivery::origin`] is that of the original.
    Proven {
        /// No token is asked for.
        trusted: bool,
    },
}

impl Delivery {
    /// A delivery that reports its verdict to `handle` under the number `slot`.
    pub fn new(origin: Origin, attempt: u32, body: Bytes, slot: u64, settle_handle: Arc<SettleHandle>) -> Self {
        let guard = DeliveryGuard::new(slot, settle_handle);
        Self { origin, attempt, subject: Subject::from_static(""), predates_consumer: false, body, replay: None, guard }
    }

    /// Whether it has been delivered before, to us or to another replica: its effects may be there already.
    pub fn is_redelivery(&self) -> bool {
        self.attempt > 1 || self.is_replay()
    }

    /// Whether its row may be there already, counting also what an earlier consumer of the same stream has delivered.
    pub fn may_be_stored(&self) -> bool {
        self.predates_consumer || self.is_redelivery()
    }

    /// Whether a row of `raw_events` may be there already, so that it is no rejection, whatever is wrong with it by now.
    pub fn may_have_row(&self) -> bool {
        self.may_be_stored() && self.origin.has_rows()
    }

    /// Whether an operator replays it.
    pub fn is_replay(&self) -> bool {
        matches!(self.replay.as_deref(), Some(Replay::Proven { .. }))
    }

    /// Whether it needs no token.
    pub fn is_trusted(&self) -> bool {
        matches!(self.replay.as_deref(), Some(Replay::Proven { trusted: true }))
    }

    /// Frees the body and keeps the duty.
    pub fn into_guard(self) -> DeliveryGuard {
        self.guard
    }
}
