//! A delivery: one message handed to us once, and the duty to give it exactly one verdict.
//!
//! A [`Delivery`] that is dropped without a verdict (a panic, a closed mailbox, a forgotten branch) reports itself as
//! lost, so that the broker delivers it again: forgetting a message is impossible, at worst it is slow.

use std::sync::{Arc, Mutex, PoisonError};

use actix::{Message, Recipient};
use async_nats::Subject;
use bytes::Bytes;

use ingest_core::flow::disposition::Verdict;

/// One consumer's path through the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// `TELEMETRY` / `ingest-workers`.
    Telemetry,
    /// `SHADOW` / `ingest-shadow`.
    Shadow,
    /// `COMMANDS` / `ingest-commands`.
    Commands,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Telemetry, Lane::Shadow, Lane::Commands];

    /// The JetStream stream it reads.
    pub const fn stream(self) -> &'static str {
        match self {
            Lane::Telemetry => "TELEMETRY",
            Lane::Shadow => "SHADOW",
            Lane::Commands => "COMMANDS",
        }
    }

    /// The durable pull consumer that all replicas share; also the `consumer` label of its metrics.
    pub const fn consumer(self) -> &'static str {
        match self {
            Lane::Telemetry => "ingest-workers",
            Lane::Shadow => "ingest-shadow",
            Lane::Commands => "ingest-commands",
        }
    }

    /// The subjects of its stream.
    pub const fn subjects(self) -> &'static str {
        match self {
            Lane::Telemetry => "telemetry.>",
            Lane::Shadow => "shadow.>",
            Lane::Commands => "commands.>",
        }
    }
}

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
    ticket: Ticket,
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
    /// A delivery that reports its verdict to `desk` under the number `slot`.
    pub fn new(origin: Origin, attempt: u32, body: Bytes, slot: u64, desk: Arc<Desk>) -> Self {
        let ticket = Ticket { slot, desk: Some(desk), legs: None };
        Self {
            origin,
            attempt,
            subject: Subject::from_static(""),
            predates_consumer: false,
            body,
            replay: None,
            ticket,
        }
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
        self.may_be_stored() && *self.origin.stream == *Lane::Telemetry.stream()
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
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }
}

/// The duty to give a delivery its verdict.
#[derive(Debug)]
pub struct Ticket {
    slot: u64,
    desk: Option<Arc<Desk>>,
    legs: Option<Arc<Legs>>,
}

impl Ticket {
    /// Splits the duty into `count` legs; the delivery ends with the worst of their verdicts when the last one has ended.
    pub fn split(mut self, count: u32) -> Vec<Ticket> {
        let Some(desk) = self.desk.take() else { return Vec::new() };
        if count <= 1 {
            return vec![Ticket { slot: self.slot, desk: Some(desk), legs: self.legs.take() }];
        }
        let parent = Ticket { slot: self.slot, desk: Some(desk.clone()), legs: self.legs.take() };
        let legs = Arc::new(Legs(Mutex::new(Open { legs: count, worst: Verdict::Done, parent: Some(parent) })));
        (0..count).map(|_| Ticket { slot: self.slot, desk: Some(desk.clone()), legs: Some(legs.clone()) }).collect()
    }

    /// Ends this duty; what is to be told to whom, where it was the last leg.
    fn end(&mut self, verdict: Verdict) -> Option<(Arc<Desk>, Settled)> {
        let desk = self.desk.take()?;
        match self.legs.take() {
            None => Some((desk, Settled { slot: self.slot, verdict })),
            Some(legs) => legs.end(verdict),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((desk, settled)) = self.end(Verdict::Lost) {
            desk.send(vec![settled]);
        }
    }
}

/// The shared state of a delivery's legs.
#[derive(Debug)]
struct Legs(Mutex<Open>);

#[derive(Debug)]
struct Open {
    /// Legs that have not ended.
    legs: u32,
    worst: Verdict,
    parent: Option<Ticket>,
}

impl Legs {
    fn end(&self, verdict: Verdict) -> Option<(Arc<Desk>, Settled)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.worst = open.worst.merge(verdict);
        open.legs -= 1;
        if open.legs > 0 {
            return None;
        }
        let (parent, worst) = (open.parent.take(), open.worst);
        drop(open);
        parent.and_then(|mut ticket| ticket.end(worst))
    }
}

/// A delivery's end, as its consumer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The number under which the consumer knows it.
    pub slot: u64,
    /// The verdict.
    pub verdict: Verdict,
}

/// Where a lane's deliveries report their verdicts.
#[derive(Debug)]
pub struct Desk {
    /// The lane.
    pub lane: Lane,
    consumer: Recipient<Settle>,
}

impl Desk {
    /// A desk in front of a lane's consumer.
    pub fn new(lane: Lane, consumer: Recipient<Settle>) -> Arc<Self> {
        Arc::new(Self { lane, consumer })
    }

    fn send(&self, settled: Vec<Settled>) {
        // A consumer that is gone has its whole window redelivered by the broker: nothing is left to tell.
        self.consumer.do_send(Settle { settled });
    }
}

/// Verdicts collected over a batch, so that each lane's consumer gets one message. Dropped, it tells what it has collected:
/// a verdict that was given is never forgotten.
#[derive(Debug, Default)]
pub struct Settlement {
    lanes: Vec<(Arc<Desk>, Vec<Settled>)>,
}

impl Settlement {
    /// Gives a delivery its verdict.
    pub fn add(&mut self, mut ticket: Ticket, verdict: Verdict) {
        let Some((desk, settled)) = ticket.end(verdict) else { return };
        match self.lanes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &desk)) {
            Some((_, all)) => all.push(settled),
            None => self.lanes.push((desk, vec![settled])),
        }
    }

    /// Tells the consumers.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        for (desk, settled) in self.lanes.drain(..) {
            desk.send(settled);
        }
    }
}
/// Anyone to a Consumer: these deliveries have ended. The only arrow that points up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Settle {
    /// Each exactly once.
    pub settled: Vec<Settled>,
}
