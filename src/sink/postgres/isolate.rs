//! A batch of which something was refused: stores what can be stored, each kind on its own.
//!
//! What PostgreSQL refuses for what it is becomes a refusal of its own. What it can't take now is put off, so that the
//! rest need not wait for it.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Error;

use super::batch::{Batch, Kind, PutOff, WriteMode};
use super::bisect::{Sorted, bisect};
use super::gate::Gate;
use super::probe::{self, Samples};
use super::stored::Stored;
use super::{refusals, statement};
use crate::delivery::pending_ack::{Outbox, PendingAck};
use crate::outbox::insert;
use crate::postgres::classify::{Answer, Failure};
use crate::runtime::failpoint;
use ingest_core::flow::batch::extract;

/// Deferred constraints refuse a row where it is written, not the whole at its commit; and what is staged follows the
/// table as it is now.
const BEGIN: &str = "SET CONSTRAINTS ALL IMMEDIATE; DROP TABLE IF EXISTS pg_temp.ingest_staging";

/// What isolation needs besides the batch.
#[derive(Debug)]
pub(super) struct Isolation<'a> {
    /// Decides which refused items the quarantine keeps.
    pub gate: &'a Gate,
    /// Rows that were accepted before.
    pub samples: &'a Samples,
    /// Whether refusals are counted.
    pub counters: bool,
    /// Where points are recorded with their rows.
    pub outbox: Option<&'a Outbox>,
}

impl Isolation<'_> {
    /// Stores a batch without what is refused, which it turns into refusals and stores as such, and without what it puts
    /// off ([`Batch::put_off`]).
    ///
    /// # Errors
    /// When PostgreSQL does not answer any more, or does not commit: then nothing of the batch is stored.
    pub(super) async fn store(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let mut transaction = client.transaction().await?;
        transaction.batch_execute(BEGIN).await?;
        let mut stored = Stored::default();
        let owed = self.store_events(&mut transaction, batch, &mut stored).await?;
        self.store_shadows(&mut transaction, batch, &mut stored).await?;
        self.store_acks(&mut transaction, batch, &mut stored).await?;
        self.store_refusals(&mut transaction, batch, &mut stored).await?;
        failpoint::pass("writer");
        transaction.commit().await?;
        batch.owed = owed;
        if !batch.put_off.is_empty() {
            // The tables may have changed since the statements were prepared.
            client.statement_cache.clear();
        }
        Ok(stored)
    }

    /// Rows, and the record of their points.
    async fn store_events(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        stored: &mut Stored,
    ) -> Result<Vec<PendingAck>, Failure> {
        if batch.events.is_empty() {
            return Ok(Vec::new());
        }
        let mut part = transaction.savepoint("events").await?;
        let events = &batch.events;
        let sorted = bisect(
            &mut part,
            events.len(),
            async |part, range| {
                let is_new = statement::copy_new(part, &events[range].iter().collect::<Vec<_>>()).await?;
                statement::unstage(part).await?;
                Ok(is_new)
            },
            async |part, index, answer| probe::rows(part, &events[index], answer, self.samples).await,
        )
        .await?;
        batch.was_there = was_there(&sorted, events.len());
        let refused = settle(Kind::Events, batch, sorted);
        for (event, answer) in refused.events {
            batch.refuse_event(event, answer, self.gate);
        }
        let recorded = match self.outbox {
            Some(outbox) => record(&part, outbox, batch).await.map_err(Failure::from),
            None => Ok(Vec::new()),
        };
        match recorded {
            Ok(owed) => {
                part.commit().await?;
                stored.duplicates = batch.was_there.iter().filter(|was_there| **was_there).count() as u64;
                stored.rows = batch.events.len() as u64 - stored.duplicates;
                Ok(owed)
            }
            Err(Failure::Answered(answer)) => {
                // No row without its points on record.
                part.rollback().await?;
                batch.was_there.clear();
                put_off_all(Kind::Events, batch, answer);
                Ok(Vec::new())
            }
            Err(away) => Err(away),
        }
    }

    async fn store_shadows(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        stored: &mut Stored,
    ) -> Result<(), Failure> {
        let shadows = &batch.shadows;
        let sorted = bisect(
            transaction,
            shadows.len(),
            async |part, range| statement::shadows(part, &shadows[range]).await,
            async |part, index, answer| {
                let device = &shadows[index].1.device;
                probe::shadows(part, &device.key, &device.site_id, answer).await
            },
        )
        .await?;
        stored.shadows = sum(&sorted);
        for (report, answer) in settle(Kind::Shadows, batch, sorted).shadows {
            batch.refuse_shadow(report, answer, self.gate);
        }
        Ok(())
    }

    async fn store_acks(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        stored: &mut Stored,
    ) -> Result<(), Failure> {
        let acks = &batch.acks;
        let sorted = bisect(
            transaction,
            acks.len(),
            async |part, range| statement::acks(part, &acks[range]).await,
            async |part, index, answer| {
                let ack = &acks[index].1;
                probe::acks(part, &ack.device.key, &ack.command_id, answer).await
            },
        )
        .await?;
        stored.acks = sum(&sorted);
        for (ack, answer) in settle(Kind::Acks, batch, sorted).acks {
            batch.refuse_ack(ack, answer, self.gate);
        }
        Ok(())
    }

    /// Refusals; one that can't be stored as it is asks for less, until it can.
    async fn store_refusals(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        stored: &mut Stored,
    ) -> Result<(), Failure> {
        if batch.refusals.is_empty() {
            return Ok(());
        }
        let part = transaction.savepoint("recognise").await?;
        let recognised = async {
            refusals::recognise(&part, &mut batch.refusals).await?;
            if self.counters { refusals::lock_counters(&part, &batch.refusals).await } else { Ok(()) }
        };
        match recognised.await.map_err(Failure::from) {
            Ok(()) => part.commit().await?,
            Err(Failure::Answered(answer)) => {
                part.rollback().await?;
                put_off_all(Kind::Refusals, batch, answer);
                return Ok(());
            }
            Err(away) => return Err(away),
        }
        // What was refused is moved to the end, and tried again from there.
        let mut first = 0;
        while first < batch.refusals.len() {
            let left = &batch.refusals[first..];
            let is_first_try = first == 0;
            let sorted = bisect(
                transaction,
                left.len(),
                async |part, range| refusals::store(part, &left[range], self.counters).await,
                async |part, index, answer| {
                    Ok(is_first_try && probe::quarantine(part, &left[index], answer, self.counters).await?)
                },
            )
            .await?;
            stored.quarantined += sum(&sorted);
            let done = batch.refusals.drain(..first).collect();
            let refused = settle(Kind::Refusals, batch, sorted).refusals;
            let tried = std::mem::replace(&mut batch.refusals, done);
            batch.refusals.extend(tried);
            first = batch.refusals.len();
            for (mut one, _) in refused {
                one.ask_for_less();
                batch.refusals.push(one);
            }
        }
        Ok(())
    }
}

/// Whether each of the stored events' rows was there before; empty where all are new.
fn was_there(sorted: &Sorted<Vec<bool>>, count: usize) -> Vec<bool> {
    let mut is_new = vec![false; count];
    for (range, new) in &sorted.stored {
        is_new[range.clone()].copy_from_slice(new);
    }
    let missing = sorted.missing();
    let was_there = (0..count).filter(|index| !missing.contains(index)).map(|index| !is_new[index]);
    was_there.collect()
}

fn sum(sorted: &Sorted<u64>) -> u64 {
    sorted.stored.iter().map(|(_, count)| count).sum()
}

/// Records the points of the rows that are stored.
async fn record(part: &Transaction<'_>, outbox: &Outbox, batch: &Batch) -> Result<Vec<PendingAck>, Error> {
    let statement = insert::prepare(part).await?;
    insert::record(part, &statement, outbox, &batch.events).await
}

/// What was refused of a batch, each with the server's answer. One list is filled.
#[derive(Default)]
struct Taken {
    events: Vec<((crate::delivery::Delivery, ingest_core::validate::event::Event), Answer)>,
    refusals: Vec<(super::quarantine::PendingQuarantine, Answer)>,
    shadows: Vec<((crate::delivery::Delivery, ingest_core::validate::event::ShadowReport), Answer)>,
    acks: Vec<((crate::delivery::Delivery, ingest_core::validate::event::CommandAck), Answer)>,
}

/// Takes out of a batch what was not stored: puts off what is put off, and returns what is refused.
fn settle<T>(kind: Kind, batch: &mut Batch, sorted: Sorted<T>) -> Taken {
    let is_general = sorted.is_general;
    let mut named: Vec<(usize, (bool, Answer))> = Vec::new();
    named.extend(sorted.refused.into_iter().map(|(index, answer)| (index, (true, answer))));
    named.extend(sorted.put_off.into_iter().map(|(index, answer)| (index, (false, answer))));
    named.sort_unstable_by_key(|(index, _)| *index);
    let mut taken = Taken::default();
    let mut later =
        Batch { has_unknown_end: batch.has_unknown_end, write_mode: WriteMode::Isolated, ..Batch::default() };
    let mut first = None;
    match kind {
        Kind::Events => taken.events = sort(&mut batch.events, named, &mut later.events, &mut first),
        Kind::Refusals => taken.refusals = sort(&mut batch.refusals, named, &mut later.refusals, &mut first),
        Kind::Shadows => taken.shadows = sort(&mut batch.shadows, named, &mut later.shadows, &mut first),
        Kind::Acks => taken.acks = sort(&mut batch.acks, named, &mut later.acks, &mut first),
    }
    if let Some(answer) = first {
        batch.put_off.push(PutOff { kind, is_general, answer, batch: later });
    }
    taken
}

/// Takes the named items out: those that are refused are returned, the others go to `later`, and `first` becomes the answer
/// to the first of those.
fn sort<T>(
    items: &mut Vec<T>,
    named: Vec<(usize, (bool, Answer))>,
    later: &mut Vec<T>,
    first: &mut Option<Answer>,
) -> Vec<(T, Answer)> {
    let mut refused = Vec::new();
    for (item, (is_refused, answer)) in extract(items, named) {
        if is_refused {
            refused.push((item, answer));
        } else {
            first.get_or_insert(answer);
            later.push(item);
        }
    }
    refused
}

/// Puts off everything of a kind.
fn put_off_all(kind: Kind, batch: &mut Batch, answer: Answer) {
    if let Some(later) = batch.take_kind(kind) {
        batch.put_off.push(PutOff { kind, is_general: true, answer, batch: later });
    }
}
