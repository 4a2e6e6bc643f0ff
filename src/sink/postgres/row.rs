//! What differs between the kinds of items: how they are inserted, what they become when they are refused, and what follows
//! once they are stored. Batches, attempts and the Writer are loops over kinds.

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use super::batch::{Batch, WriteMode};
use super::downstream::Forwarding;
use super::kinds::{EventItem, Item};
use super::partitions::Day;
use super::probe::Samples;
use super::quarantine::PendingQuarantine;
use super::quarantine_policy::QuarantinePolicy;
use crate::delivery::pending_ack::Outbox;
use crate::metrics::PostgresMetrics;
use crate::postgres::classify::Failure;

/// An item that is stored in tables of its kind.
pub(super) trait Row: Item {
    /// The day of `raw_events` that it needs a partition for.
    fn day(&self) -> Option<Day>;

    /// Stores all of these items.
    ///
    /// # Errors
    /// When PostgreSQL does not answer or refuses one.
    async fn insert(
        transaction: &Transaction<'_>,
        items: &mut [Self],
        attempt: &Attempt<'_>,
    ) -> Result<Self::Stored, Error>;

    /// Stores what can be stored of a batch's items of this kind. What PostgreSQL refuses becomes a rejection in the batch;
    /// what it can't take now is put off ([`Batch::put_off`]).
    ///
    /// The attempt may be dropped at any `await`, for it is bounded in time: by then, what was taken out of the batch must be
    /// in it again.
    ///
    /// # Errors
    /// When PostgreSQL does not answer any more.
    async fn insert_bisecting(
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        attempt: &Attempt<'_>,
    ) -> Result<Self::Stored, Failure>;

    /// What it becomes when PostgreSQL refuses it, with the server's words.
    fn reject(self, why: String, policy: &QuarantinePolicy) -> PendingQuarantine;

    /// Counts what was stored of these items.
    fn count(items: &[Self], stored: &Self::Stored, metrics: &PostgresMetrics);

    /// Hands stored items on, and ends the ack legs of those that nothing else is to be waited for.
    fn forward(items: Vec<Self>, stored: Self::Stored, forwarding: &mut Forwarding<'_>);
}

/// One attempt to make a batch durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// How carefully rows are written.
    pub(super) write_mode: WriteMode,
    /// Decides which refused items the quarantine keeps.
    pub(super) policy: &'a QuarantinePolicy,
    /// Rows that were accepted before.
    pub(super) samples: &'a Samples,
    /// Whether rejections are counted.
    pub(super) counters: bool,
    /// Where points are recorded with their rows.
    pub(super) outbox: Option<&'a Outbox>,
}

impl<'a> Attempt<'a> {
    /// The outbox, where these events have points that go on record.
    pub(super) fn outbox_of(&self, events: &[EventItem]) -> Option<&'a Outbox> {
        self.outbox.filter(|_| events.iter().any(|(_, event)| event.line.is_some()))
    }
}
