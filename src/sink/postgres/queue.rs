//! What waits for a transaction.

use std::collections::VecDeque;

use super::batch::{Batch, Kind};
use super::quarantine::PendingQuarantine;
use crate::delivery::Delivery;
use crate::message::Write;
use ingest_core::flow::batch::take;
use ingest_core::validate::event::{CommandAck, Event, ShadowReport};

/// Deliveries that wait for a transaction. Bounded by the consumers' windows.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<(Delivery, Event)>,
    refusals: VecDeque<PendingQuarantine>,
    shadows: VecDeque<(Delivery, ShadowReport)>,
    acks: VecDeque<(Delivery, CommandAck)>,
    /// Kinds that can't be stored now, by [`Kind`]'s number.
    held: [bool; Kind::ALL.len()],
}

impl Queue {
    /// Appends a chunk, its refusals apart: those go through [`Queue::refuse`].
    pub(super) fn append(&mut self, chunk: Write) {
        self.events.extend(chunk.events);
        self.shadows.extend(chunk.shadows);
        self.acks.extend(chunk.acks);
    }

    /// Appends a refusal.
    pub(super) fn refuse(&mut self, refused: PendingQuarantine) {
        self.refusals.push_back(refused);
    }

    /// Everything that waits.
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.refusals.len() + self.shadows.len() + self.acks.len()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits and may be taken: not of the kinds that are held.
    pub(super) fn open_len(&self) -> usize {
        Kind::ALL.into_iter().filter(|kind| !self.held[*kind as usize]).map(|kind| self.len_of(kind)).sum()
    }

    /// Holds a kind back, or lets it go again.
    pub(super) fn hold(&mut self, kind: Kind, is_held: bool) {
        self.held[kind as usize] = is_held;
    }

    /// Takes the oldest of each kind that is not held, at most `size` in all. The rare kinds go first, so that a flood of
    /// rows can't keep them waiting.
    pub(super) fn take(&mut self, size: usize) -> Batch {
        let mut room = size;
        let acks = self.take_open(Kind::Acks, &mut room).acks;
        let shadows = self.take_open(Kind::Shadows, &mut room).shadows;
        // Neither may a flood of refusals keep the rows waiting.
        let has_rows = !self.events.is_empty() && !self.held[Kind::Events as usize];
        let mut for_refusals = if has_rows { room.div_ceil(2) } else { room };
        room -= for_refusals;
        let refusals = self.take_open(Kind::Refusals, &mut for_refusals).refusals;
        room += for_refusals;
        let events = self.take_open(Kind::Events, &mut room).events;
        Batch { events, refusals, shadows, acks, ..Batch::default() }
    }

    fn take_open(&mut self, kind: Kind, room: &mut usize) -> Batch {
        if self.held[kind as usize] {
            return Batch::default();
        }
        let batch = self.take_of(kind, *room);
        *room -= batch.len();
        batch
    }

    /// Takes the oldest of one kind, held or not.
    pub(super) fn take_of(&mut self, kind: Kind, mut size: usize) -> Batch {
        let mut batch = Batch::default();
        match kind {
            Kind::Events => batch.events = take(&mut self.events, &mut size),
            Kind::Refusals => batch.refusals = take(&mut self.refusals, &mut size),
            Kind::Shadows => batch.shadows = take(&mut self.shadows, &mut size),
            Kind::Acks => batch.acks = take(&mut self.acks, &mut size),
        }
        batch
    }

    fn len_of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Events => self.events.len(),
            Kind::Refusals => self.refusals.len(),
            Kind::Shadows => self.shadows.len(),
            Kind::Acks => self.acks.len(),
        }
    }
}

impl From<Batch> for Queue {
    fn from(batch: Batch) -> Self {
        Self {
            events: batch.events.into(),
            refusals: batch.refusals.into(),
            shadows: batch.shadows.into(),
            acks: batch.acks.into(),
            ..Self::default()
        }
    }
}

/// Cuts a batch into batches of at most `size`, each to be written in isolation: so that the transactions that look for
/// what was refused stay short, however much of it there is.
pub(super) fn split(batch: Batch, size: usize) -> Vec<Batch> {
    let has_unknown_end = batch.has_unknown_end;
    let mut parts = Vec::with_capacity(batch.len() / size.max(1) + 1);
    let mut queue = Queue::from(batch);
    while !queue.is_empty() {
        parts.push(Batch { write_mode: super::batch::WriteMode::Isolated, has_unknown_end, ..queue.take(size) });
    }
    parts
}
