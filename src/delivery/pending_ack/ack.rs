//! A line's pending ack: what keeps its outbox entry until InfluxDB has confirmed it.
//!
//! As with a delivery, forgetting is impossible: a [`PendingAck`] that is dropped unconfirmed (a full buffer, a dead batcher,
//! a drain) keeps its entry in the outbox, and the entry is released for redelivery. Only when every pending ack of an entry
//! has been confirmed is it deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;

/// Entries of the outbox none of whose lines is pending in this node any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The entries.
    pub ids: Vec<i64>,
    /// The tenant whose lines were redelivered; `None` where they came with their deliveries.
    pub redelivered_for: Option<Arc<str>>,
    /// Lines that were confirmed: durable in InfluxDB, or rejected by it and durable in the quarantine.
    pub confirmed: u64,
    /// Whether all were: then the entries can be deleted.
    pub is_clear: bool,
}

/// One line's reference to its outbox entries. The default refers to none: confirming or dropping it has no effect.
#[derive(Debug, Default)]
pub struct PendingAck(Option<Arc<Entries>>);

impl PendingAck {
    /// The first reference to these entries.
    pub(super) fn new(
        ids: Vec<i64>,
        redelivered_for: Option<Arc<str>>,
        released: UnboundedSender<Released>,
    ) -> PendingAck {
        PendingAck(Some(Arc::new(Entries {
            ids,
            redelivered_for,
            confirmed: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
            released,
        })))
    }

    /// Another line's reference to the same entries.
    #[must_use]
    pub fn clone_ref(&self) -> PendingAck {
        PendingAck(self.0.clone())
    }

    /// The entries that it refers to.
    pub fn ids(&self) -> &[i64] {
        self.0.as_ref().map_or(&[], |entries| &entries.ids)
    }

    /// Whether its line is redelivered: rebuilt from its row, long after its delivery.
    pub fn is_redelivered(&self) -> bool {
        self.0.as_ref().is_some_and(|entries| entries.redelivered_for.is_some())
    }

    /// Whether another reference was dropped: the entries stay in the outbox, whatever becomes of this line.
    pub fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_some_and(|entries| entries.is_kept.load(Ordering::Relaxed))
    }

    /// How many other references to its entries there are.
    pub fn outstanding(&self) -> usize {
        self.0.as_ref().map_or(0, |entries| Arc::strong_count(entries) - 1)
    }

    /// The line is durable in InfluxDB, or rejected by it and durable in the quarantine.
    pub fn confirm(mut self) {
        if let Some(entries) = self.0.take() {
            entries.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There is no line behind this reference: it stood for those that were still to be made.
    pub fn discard(mut self) {
        self.0.take();
    }
}

impl Drop for PendingAck {
    fn drop(&mut self) {
        if let Some(entries) = self.0.take() {
            entries.is_kept.store(true, Ordering::Relaxed);
        }
    }
}

/// Released when the last reference ends; the reference count's own ordering makes the others' writes visible to it.
#[derive(Debug)]
struct Entries {
    ids: Vec<i64>,
    redelivered_for: Option<Arc<str>>,
    confirmed: AtomicU64,
    is_kept: AtomicBool,
    released: UnboundedSender<Released>,
}

impl Drop for Entries {
    fn drop(&mut self) {
        // Without a receiver the generation is at its end, and its entries are reaped as those of an expired owner.
        let _ = self.released.send(Released {
            ids: std::mem::take(&mut self.ids),
            redelivered_for: self.redelivered_for.take(),
            confirmed: *self.confirmed.get_mut(),
            is_clear: !*self.is_kept.get_mut(),
        });
    }
}
