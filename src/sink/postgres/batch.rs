//! What waits for a transaction, and what one transaction holds.

use std::collections::VecDeque;

use bytes::Bytes;

use super::partitions::Day;
use super::quarantine::{Keep, Refused};
use crate::core::batch::{extract, take};
use crate::core::disposition::Verdict;
use crate::core::event::{CommandAck, Content, Event, Refusal, ShadowReport};
use crate::core::rejection::{Reason, Rejection};
use crate::debt::Share;
use crate::delivery::{Delivery, Origin};
use crate::message::Write;

/// The contents of one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows of `raw_events`.
    pub events: Vec<(Delivery, Event)>,
    /// Refusals: quarantine and counters.
    pub refusals: Vec<Refused>,
    /// Reports of the shadow lane.
    pub shadows: Vec<(Delivery, ShadowReport)>,
    /// Acknowledgements of the command lane.
    pub acks: Vec<(Delivery, CommandAck)>,
    /// What the outbox has on record of the events' points, one share per event; empty where nothing is recorded.
    pub owed: Vec<Share>,
    /// How it is to be written.
    pub manner: Manner,
}

/// How carefully a batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// First deliveries straight in: they can't be there already.
    #[default]
    Straight,
    /// Every row may be there already: an earlier attempt failed with an unknown end, or met a row that was.
    Staged,
    /// Something in it was refused: each part stands on its own.
    Isolated,
}

impl Batch {
    /// Everything in it.
    pub fn len(&self) -> usize {
        self.events.len() + self.refusals.len() + self.shadows.len() + self.acks.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the row of this delivery may be there already.
    pub fn may_be_stored(&self, delivery: &Delivery) -> bool {
        self.manner > Manner::Straight || delivery.is_redelivery()
    }

    /// Whether it holds nothing but rows that are not there already.
    pub fn is_new_rows_only(&self) -> bool {
        self.len() == self.events.len() && !self.events.iter().any(|(delivery, _)| self.may_be_stored(delivery))
    }

    /// The days its rows fall on.
    pub fn days(&self) -> Vec<Day> {
        let mirrored = self.refusals.iter().filter(|refused| refused.keep.mirror).map(|refused| &refused.origin);
        let mut days: Vec<Day> = Vec::with_capacity(1);
        for origin in self.events.iter().map(|(delivery, _)| &delivery.origin).chain(mirrored) {
            let day = Day::of(origin.received_us);
            if !days.contains(&day) {
                days.push(day);
            }
        }
        days
    }

    /// Cuts it into batches of at most `size`, each to be written in isolation: so that the transactions that look for
    /// what was refused stay short, however much of it there is.
    pub fn split(mut self, size: usize) -> Vec<Batch> {
        let mut parts = Vec::with_capacity(self.len() / size.max(1) + 1);
        let mut queue = Queue::default();
        queue.refusals.extend(self.refusals.drain(..));
        queue.append(Write { events: self.events, refusals: Vec::new(), shadows: self.shadows, acks: self.acks });
        while !queue.is_empty() {
            parts.push(Batch { manner: Manner::Isolated, ..queue.take(size) });
        }
        parts
    }

    /// Turns what PostgreSQL refused for good into refusals of their own. The lists name the items by their index, in
    /// ascending order, each with the server's words.
    pub fn refuse(&mut self, poison: Poison) {
        for ((delivery, event), message) in extract(&mut self.events, poison.events) {
            let refusal = refused_row(event, message);
            self.refusals.push(refused_by_postgres(delivery, refusal));
        }
        for ((delivery, report), message) in extract(&mut self.shadows, poison.shadows) {
            let refusal = refused_side(&report.device.key, "shadow/reported", report.reported, message);
            self.refusals.push(refused_by_postgres(delivery, refusal));
        }
        for ((delivery, ack), message) in extract(&mut self.acks, poison.acks) {
            let refusal = refused_side(&ack.device.key, "commands/ack", ack.ack_details, message);
            self.refusals.push(refused_by_postgres(delivery, refusal));
        }
    }
}

/// What PostgreSQL refused for good: indices into the lists of a [`Batch`], each with the server's words.
#[derive(Debug, Default)]
pub struct Poison {
    /// Of `events`.
    pub events: Vec<(usize, String)>,
    /// Of `shadows`.
    pub shadows: Vec<(usize, String)>,
    /// Of `acks`.
    pub acks: Vec<(usize, String)>,
}

/// Deliveries that wait for a transaction. Bounded by the consumers' windows.
#[derive(Debug, Default)]
pub struct Queue {
    events: VecDeque<(Delivery, Event)>,
    refusals: VecDeque<Refused>,
    shadows: VecDeque<(Delivery, ShadowReport)>,
    acks: VecDeque<(Delivery, CommandAck)>,
}

impl Queue {
    /// Appends a chunk, its refusals apart: those go through [`Queue::refuse`].
    pub fn append(&mut self, chunk: Write) {
        self.events.extend(chunk.events);
        self.shadows.extend(chunk.shadows);
        self.acks.extend(chunk.acks);
    }

    /// Appends a refusal.
    pub fn refuse(&mut self, refused: Refused) {
        self.refusals.push_back(refused);
    }

    /// Everything that waits.
    pub fn len(&self) -> usize {
        self.events.len() + self.refusals.len() + self.shadows.len() + self.acks.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the oldest of each kind, at most `size` in all. The rare kinds go first, so that a flood of rows can't
    /// keep them waiting.
    pub fn take(&mut self, size: usize) -> Batch {
        let mut room = size;
        let acks = take(&mut self.acks, &mut room);
        let shadows = take(&mut self.shadows, &mut room);
        // Neither may a flood of refusals keep the rows waiting.
        let mut for_refusals = if self.events.is_empty() { room } else { room.div_ceil(2) };
        room -= for_refusals;
        let refusals = take(&mut self.refusals, &mut for_refusals);
        room += for_refusals;
        let events = take(&mut self.events, &mut room);
        Batch { events, refusals, shadows, acks, ..Batch::default() }
    }
}

fn refused_row(event: Event, message: String) -> Refusal {
    let key = &event.device.key;
    Refusal {
        rejection: Rejection::new(Reason::RowRefused, message),
        tenant_id: Some(key.tenant_id.to_string()),
        site_id: Some(event.device.site_id.clone()),
        device_id: Some(key.device_id.to_string()),
        msg_type: Some(event.msg_type.as_str().to_owned()),
        event_us: Some(event.event_us),
        topic: event.topic.to_string(),
        content: Content::Raw(event.payload.into_bytes()),
    }
}

fn refused_side(key: &crate::core::device::DeviceKey, kind: &str, content: String, message: String) -> Refusal {
    Refusal {
        rejection: Rejection::new(Reason::RowRefused, message),
        topic: format!("tenant/{}/device/{}/{kind}", key.tenant_id, key.device_id),
        tenant_id: Some(key.tenant_id.to_string()),
        site_id: None,
        device_id: Some(key.device_id.to_string()),
        msg_type: Some(kind.to_owned()),
        event_us: None,
        content: Content::Raw(Bytes::from(content)),
    }
}

fn refused_by_postgres(delivery: Delivery, refusal: Refusal) -> Refused {
    let origin: Origin = delivery.origin.clone();
    let ticket = Some(delivery.into_ticket());
    Refused { origin, refusal, keep: Keep::STORED, ticket, verdict: Verdict::Poison, owed: Share::default() }
}
