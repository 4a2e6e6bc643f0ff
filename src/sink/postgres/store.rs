//! One attempt to make a batch durable: one connection, one transaction, bounded in time.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use slog::Logger;

use super::batch::{Batch, WriteMode};
use super::kinds::{Item, Stored, each_kind};
use super::partitions::{Day, Partitions};
use super::probe::Samples;
use super::quarantine_policy::QuarantinePolicy;
use super::row::{Attempt, Row};
use super::{isolate, statement};
use crate::delivery::pending_ack::Outbox;
use crate::postgres::classify::Failure;
use crate::postgres::config::Config;
use crate::postgres::lease;
use crate::runtime::failpoint;

/// What attempts share.
#[derive(Debug)]
pub(super) struct Store {
    pool: Pool,
    partitions: Partitions,
    bound: Duration,
    counters: bool,
    outbox: Option<Outbox>,
    policy: Arc<QuarantinePolicy>,
    samples: Samples,
    log: Logger,
}

impl Store {
    /// Attempts over the connections of `pool`. With an outbox, points are recorded there with their rows.
    pub(super) fn new(
        pool: Pool,
        config: &Config,
        outbox: Option<Outbox>,
        policy: Arc<QuarantinePolicy>,
        log: Logger,
    ) -> Self {
        Self {
            pool,
            partitions: Partitions::default(),
            bound: Duration::from_secs(config.transaction_timeout_secs),
            counters: config.counters_enabled,
            outbox,
            policy,
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
        let stored = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            if batch.write_mode == WriteMode::Bisect {
                self.isolate(client, batch).await
            } else {
                self.store_all(client, batch).await
            }
        })
        .await;
        match &stored {
            Ok(_) => batch.items.events.last().into_iter().for_each(|(_, event)| self.samples.remember(event)),
            Err(_) => batch.take_back(),
        }
        stored
    }

    /// Everything or nothing.
    async fn store_all(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let days = days(batch);
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
        let days = days(batch);
        let no_partition = match self.partitions.ensure(client, &days, &self.log).await.map_err(Failure::from) {
            Ok(()) => None,
            Err(Failure::Answered(answer)) => Some(answer),
            Err(away) => return Err(away),
        };
        let stored = isolate::store(client, batch, &self.attempt(batch)).await?;
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

    /// Whether a transaction that may write can begin.
    ///
    /// # Errors
    /// As [`Store::store`].
    pub(super) async fn ask(&self) -> Result<(), Failure> {
        lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            Ok(client.batch_execute("BEGIN READ WRITE; ROLLBACK").await?)
        })
        .await
    }

    fn attempt(&self, batch: &Batch) -> Attempt<'_> {
        Attempt {
            write_mode: batch.write_mode,
            policy: &self.policy,
            samples: &self.samples,
            counters: self.counters,
            outbox: self.outbox.as_ref(),
        }
    }

    async fn store_once(&self, client: &mut Object, batch: &mut Batch) -> Result<Stored, Failure> {
        let attempt = self.attempt(batch);
        let events = &batch.items.events;
        if batch.write_mode == WriteMode::CopyDirect && batch.is_new_rows_only() && attempt.outbox_of(events).is_none()
        {
            statement::copy_alone(client, statement::encode(events.iter())).await?;
            return Ok(Stored::default());
        }
        store_together(client, batch, &attempt).await
    }
}

/// All kinds in one transaction.
async fn store_together(client: &mut Object, batch: &mut Batch, attempt: &Attempt<'_>) -> Result<Stored, Failure> {
    let transaction = client.transaction().await?;
    let mut stored = Stored::default();
    each_kind!(I, {
        let items = I::among_mut(&mut batch.items);
        if !items.is_empty() {
            *I::among_mut(&mut stored) = I::insert(&transaction, items, attempt).await?;
        }
    });
    failpoint::pass("writer");
    transaction.commit().await?;
    Ok(stored)
}

/// The days that a batch needs partitions for.
fn days(batch: &Batch) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::with_capacity(1);
    each_kind!(I, {
        for day in I::among(&batch.items).iter().filter_map(I::day) {
            if !days.contains(&day) {
                days.push(day);
            }
        }
    });
    days
}
