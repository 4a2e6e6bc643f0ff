//! One attempt to make a batch durable: one connection, one transaction, bounded in time.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Transaction};
use slog::Logger;

use super::batch::{Batch, WriteMode};
use super::gate::Gate;
use super::isolate::Isolation;
use super::partitions::Partitions;
use super::probe::Samples;
use super::stored::Stored;
use super::{refusals, statement};
use crate::delivery::Delivery;
use crate::delivery::pending_ack::Outbox;
use crate::outbox::insert;
use crate::postgres::classify::Failure;
use crate::postgres::config::Config;
use crate::postgres::lease;
use crate::runtime::failpoint;
use ingest_core::validate::event::Event;

/// What attempts share.
#[derive(Debug)]
pub(super) struct Store {
    pool: Pool,
    partitions: Partitions,
    bound: Duration,
    counters: bool,
    outbox: Option<Outbox>,
    gate: Arc<Gate>,
    samples: Samples,
    log: Logger,
}

impl Store {
    /// Attempts over the connections of `pool`. With an outbox, points are recorded there with their rows.
    pub(super) fn new(pool: Pool, config: &Config, outbox: Option<Outbox>, gate: Arc<Gate>, log: Logger) -> Self {
        Self {
            pool,
            partitions: Partitions::default(),
            bound: Duration::from_secs(config.transaction_timeout_secs),
            counters: config.counters_enabled,
            outbox,
            gate,
            samples: Samples::default(),
            log,
        }
    }

    /// Tries to make a batch durable. When this fails, nothing of it is known to be; without an answer it still may be.
    /// What could not be stored beside the rest is put off ([`Batch::put_off`]).
    ///
    /// # Errors
    /// As [`Failure`] tells.
    pub(super) async fn store(&self, batch: &mut Batch) -> Result<Stored, Failure> {
        batch.was_there.clear();
        let stored = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            if batch.write_mode == WriteMode::Isolated {
                self.isolate(client, batch).await
            } else {
                self.store_all(client, batch).await
            }
        })
        .await;
        match &stored {
            Ok(_) => batch.events.last().into_iter().for_each(|(_, event)| self.samples.remember(event)),
            Err(_) => batch.take_back(),
        }
        stored
    }

    /// Everything or nothing.
    async fn store_all(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let days = batch.days();
        self.partitions.ensure(client, &days, &self.log).await?;
        let mut stored = self.store_once(client, batch).await;
        if matches!(&stored, Err(Failure::Answered(answer)) if answer.is_missing_partition()) {
            // Somebody has dropped one that we made or found.
            self.partitions.forget(&days);
            self.partitions.ensure(client, &days, &self.log).await?;
            stored = self.store_once(client, batch).await;
        }
        stored
    }

    /// What can be stored.
    async fn isolate(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let days = batch.days();
        let no_partition = match self.partitions.ensure(client, &days, &self.log).await.map_err(Failure::from) {
            Ok(()) => None,
            Err(Failure::Answered(answer)) => Some(answer),
            Err(away) => return Err(away),
        };
        let isolation = Isolation {
            gate: &self.gate,
            samples: &self.samples,
            counters: self.counters,
            outbox: self.outbox.as_ref(),
        };
        let stored = isolation.store(client, batch).await?;
        for put_off in batch.put_off.iter_mut().filter(|put_off| put_off.answer.is_missing_partition()) {
            self.partitions.forget(&days);
            if let Some(why) = &no_partition {
                put_off.answer.message.clone_from(&why.message);
            }
        }
        Ok(stored)
    }

    /// Makes the partitions of the coming days.
    ///
    /// # Errors
    /// As [`Store::store`].
    pub(super) async fn make_partitions(&self, now_us: i64) -> Result<(), Failure> {
        lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            Ok(self.partitions.ensure_ahead(client, now_us, &self.log).await?)
        })
        .await
    }

    async fn store_once(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        if batch.write_mode == WriteMode::Straight && batch.is_new_rows_only() && !self.records(batch) {
            let rows = statement::copy_alone(client, statement::encode(batch.events.iter())).await?;
            return Ok(Stored { rows, ..Stored::default() });
        }
        self.store_together(client, batch).await
    }

    /// Whether a batch has points that go on record.
    fn records(&self, batch: &Batch) -> bool {
        self.outbox.is_some() && batch.events.iter().any(|(_, event)| event.line.is_some())
    }

    async fn store_together(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let transaction = client.transaction().await?;
        let (owed, was_there) = match self.outbox.as_ref().filter(|_| self.records(batch)) {
            None => (Vec::new(), store_rows(&transaction, batch).await?),
            Some(outbox) => {
                // Sent one right behind the other: the record costs the rows no round trip.
                let statement = insert::prepare(&transaction).await?;
                let record = insert::record(&transaction, &statement, outbox, &batch.events);
                let (owed, was_there) = tokio::join!(biased; record, store_rows(&transaction, batch));
                (owed?, was_there?)
            }
        };
        let duplicates = was_there.iter().filter(|was_there| **was_there).count() as u64;
        let mut stored = Stored { rows: batch.events.len() as u64 - duplicates, duplicates, ..Stored::default() };
        if !batch.shadows.is_empty() {
            stored.shadows = statement::shadows(&transaction, &batch.shadows).await?;
        }
        if !batch.acks.is_empty() {
            stored.acks = statement::acks(&transaction, &batch.acks).await?;
        }
        if !batch.refusals.is_empty() {
            refusals::recognise(&transaction, &mut batch.refusals).await?;
            stored.quarantined = refusals::store(&transaction, &batch.refusals, self.counters).await?;
        }
        failpoint::pass("writer");
        transaction.commit().await?;
        (batch.owed, batch.was_there) = (owed, was_there);
        Ok(stored)
    }
}

/// Rows that are new beyond doubt go straight in, the others by way of the staging table. For each whether it was there
/// already; nothing where all are new.
async fn store_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<Vec<bool>, Failure> {
    let is_doubtful: Vec<bool> = batch.events.iter().map(|(delivery, _)| batch.is_staged(delivery)).collect();
    let (doubtful, new): (Vec<_>, Vec<_>) = batch.events.iter().zip(&is_doubtful).partition(|(_, doubtful)| **doubtful);
    if !new.is_empty() {
        statement::copy(transaction, statement::encode(new.iter().map(|(event, _)| *event))).await?;
    }
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let doubtful: Vec<&(Delivery, Event)> = doubtful.into_iter().map(|(event, _)| event).collect();
    let mut is_new = statement::copy_new(transaction, &doubtful).await?.into_iter();
    Ok(is_doubtful.into_iter().map(|doubtful| doubtful && !is_new.next().unwrap_or(true)).collect())
}
