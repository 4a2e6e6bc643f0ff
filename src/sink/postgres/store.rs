//! One attempt to make a batch durable: one connection, one transaction, bounded in time.

use std::time::Duration;

use deadpool_postgres::{Object, Pool, Transaction};
use slog::Logger;

use super::Config;
use super::batch::{Batch, Manner};
use super::classify::Failure;
use super::isolate::store_isolated;
use super::lease;
use super::outbox;
use super::partitions::Partitions;
use super::statement;
use crate::debt::Outbox;
use crate::failpoint;

/// What attempts share.
#[derive(Debug)]
pub struct Store {
    pool: Pool,
    partitions: Partitions,
    bound: Duration,
    counters: bool,
    outbox: Option<Outbox>,
    log: Logger,
}

/// What an attempt has made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// New rows of `raw_events`.
    pub rows: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// New events of the quarantine.
    pub quarantined: u64,
    /// Shadow reports that changed their device's state.
    pub shadows: u64,
    /// Acknowledgements that changed their command.
    pub acks: u64,
    /// Refusals that not even the quarantine can hold; they are only counted.
    pub unkept: u64,
}

impl Store {
    /// Attempts over the connections of `pool`. With an outbox, points are recorded there with their rows.
    pub fn new(pool: Pool, config: &Config, outbox: Option<Outbox>, log: Logger) -> Self {
        Self {
            pool,
            partitions: Partitions::default(),
            bound: Duration::from_secs(config.transaction_timeout_secs),
            counters: config.counters_enabled,
            outbox,
            log,
        }
    }

    /// Tries to make a batch durable. When this fails, nothing of it is known to be; with a fault it still may be.
    ///
    /// # Errors
    /// Everything that [`Failure`] tells apart.
    pub async fn store(&self, batch: &mut Batch) -> Result<Stored, Failure> {
        lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            let days = batch.days();
            self.partitions.ensure(client, &days, &self.log).await?;
            let mut stored = self.store_once(client, batch).await;
            if stored == Err(Failure::MissingPartition) {
                // Somebody has dropped one that we made or found.
                self.partitions.forget(&days);
                self.partitions.ensure(client, &days, &self.log).await?;
                stored = self.store_once(client, batch).await;
            }
            stored
        })
        .await
    }

    /// Makes the partitions of the coming days.
    ///
    /// # Errors
    /// As [`Store::store`].
    pub async fn make_partitions(&self, now_us: i64) -> Result<(), Failure> {
        lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            Ok(self.partitions.ensure_ahead(client, now_us, &self.log).await?)
        })
        .await
    }

    async fn store_once(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        match batch.manner {
            Manner::Straight if batch.is_new_rows_only() && !self.records(batch) => {
                let rows = statement::copy_alone(client, statement::encode(batch.events.iter())).await?;
                Ok(Stored { rows, ..Stored::default() })
            }
            Manner::Straight | Manner::Staged => self.store_together(client, batch).await,
            Manner::Isolated => store_isolated(client, batch, self.counters, self.outbox.as_ref()).await,
        }
    }

    /// Whether a batch has points that go on record.
    fn records(&self, batch: &Batch) -> bool {
        self.outbox.is_some() && batch.events.iter().any(|(_, event)| event.line.is_some())
    }

    async fn store_together(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let transaction = client.transaction().await?;
        let (owed, (rows, duplicates)) = match self.outbox.as_ref().filter(|_| self.records(batch)) {
            None => (Vec::new(), store_rows(&transaction, batch).await?),
            Some(outbox) => {
                // Sent one right behind the other: the record costs the rows no round trip.
                let statement = outbox::prepare(&transaction).await?;
                let record = outbox::record(&transaction, &statement, outbox, &batch.events);
                let (owed, rows) = tokio::join!(biased; record, store_rows(&transaction, batch));
                (owed?, rows?)
            }
        };
        let mut stored = Stored { rows, duplicates, ..Stored::default() };
        if !batch.shadows.is_empty() {
            stored.shadows = statement::shadows(&transaction, &batch.shadows).await?;
        }
        if !batch.acks.is_empty() {
            stored.acks = statement::acks(&transaction, &batch.acks).await?;
        }
        // The counters are what transactions most likely wait for each other for: they come last.
        if !batch.refusals.is_empty() {
            statement::mirror(&transaction, &batch.refusals).await?;
            stored.quarantined = statement::quarantine(&transaction, &batch.refusals, self.counters).await?;
        }
        failpoint::pass("writer");
        transaction.commit().await?;
        batch.owed = owed;
        Ok(stored)
    }
}

/// Rows that are new beyond doubt go straight in, the others by way of the staging table. Counts both: new, and there
/// already.
async fn store_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<(u64, u64), Failure> {
    let (mut rows, mut duplicates) = (0, 0);
    let doubtful = batch.events.iter().filter(|(delivery, _)| batch.may_be_stored(delivery));
    let doubtful_count = doubtful.clone().count();
    if doubtful_count < batch.events.len() {
        let new = batch.events.iter().filter(|(delivery, _)| !batch.may_be_stored(delivery));
        rows += statement::copy(transaction, statement::encode(new)).await?;
    }
    if doubtful_count > 0 {
        let new = statement::copy_new(transaction, statement::encode(doubtful)).await?;
        rows += new;
        duplicates += (doubtful_count as u64).saturating_sub(new);
    }
    Ok((rows, duplicates))
}
