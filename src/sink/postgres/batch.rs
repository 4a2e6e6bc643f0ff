//! What one transaction holds.

use super::kinds::{Items, Kind};
use crate::delivery::Delivery;
use crate::postgres::classify::ServerError;

/// The contents of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The items.
    pub(super) items: Items,
    /// What the last attempt could not store although it stored the rest.
    pub(super) put_off: Vec<PutOff>,
    /// How it is to be written.
    pub(super) write_mode: WriteMode,
    /// An earlier attempt ended without an answer: rows that are there already may be this batch's own.
    pub(super) has_unknown_end: bool,
}

/// Items of one kind that can't be stored now.
#[derive(Debug)]
pub(super) struct PutOff {
    /// Their kind.
    pub(super) kind: Kind,
    /// Nothing else of their kind could be stored either.
    pub(super) is_general: bool,
    /// The server's answer to the first of them.
    pub(super) answer: ServerError,
    /// The items.
    pub(super) batch: Batch,
}

/// How carefully a batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WriteMode {
    /// First deliveries straight in: they can't be there already.
    #[default]
    CopyDirect,
    /// Every row may be there already: an earlier attempt failed with an unknown end, or met a row that was.
    CopyStaged,
    /// Something in it was refused: each part stands on its own.
    Bisect,
}

impl WriteMode {
    /// Whether the row of this delivery goes by way of the staging table, because it may be there already. What an earlier
    /// consumer may have delivered is tried straight first: a backlog that is older than its consumer is new as a rule, and
    /// the first row that is not sends its batch this way.
    pub(super) fn stages(self, delivery: &Delivery) -> bool {
        self > WriteMode::CopyDirect || delivery.is_redelivery()
    }
}

impl Batch {
    /// Everything in it.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds nothing but rows that are not there already.
    pub(super) fn is_new_rows_only(&self) -> bool {
        let events = &self.items.events;
        self.len() == events.len() && !events.iter().any(|(delivery, _)| self.write_mode.stages(delivery))
    }

    /// A batch of items of this one, to be written in isolation.
    pub(super) fn isolated(&self, items: Items) -> Batch {
        Batch { items, write_mode: WriteMode::Bisect, has_unknown_end: self.has_unknown_end, ..Batch::default() }
    }

    /// Takes the items of a kind out, where there are any, to be written in isolation.
    pub(super) fn take_kind(&mut self, kind: Kind) -> Option<Batch> {
        let taken = self.items.take(kind);
        (taken.len() > 0).then(|| self.isolated(taken))
    }

    /// Takes back what an attempt has put off that was not committed after all.
    pub(super) fn take_back(&mut self) {
        for put_off in std::mem::take(&mut self.put_off) {
            self.items.append(put_off.batch.items);
        }
    }
}
