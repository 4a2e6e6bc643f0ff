//! Rejections: records of the quarantine, counters, and rows of `raw_events` that are not accepted.

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use crate::metrics::PostgresMetrics;
use crate::postgres::classify::Failure;
use crate::sink::postgres::batch::Batch;
use crate::sink::postgres::bisect::bisect;
use crate::sink::postgres::downstream::Forwarding;
use crate::sink::postgres::isolate::{put_off_all, settle};
use crate::sink::postgres::partitions::Day;
use crate::sink::postgres::quarantine::PendingQuarantine;
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use crate::sink::postgres::row::{Attempt, Row};
use crate::sink::postgres::{probe, quarantine_statements};

impl Row for PendingQuarantine {
    fn day(&self) -> Option<Day> {
        self.keep.mirror.then(|| Day::of(self.origin.received_us))
    }

    async fn insert(
        transaction: &Transaction<'_>,
        rejections: &mut [Self],
        attempt: &Attempt<'_>,
    ) -> Result<u64, Error> {
        quarantine_statements::recognise(transaction, rejections).await?;
        quarantine_statements::store(transaction, rejections, attempt.counters).await
    }

    /// One that can't be stored as it is asks for less, until it can.
    async fn insert_bisecting(
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        attempt: &Attempt<'_>,
    ) -> Result<u64, Failure> {
        let counters = attempt.counters;
        let part = transaction.savepoint("recognise").await?;
        let recognised = async {
            let rejections = &mut batch.items.rejections;
            quarantine_statements::recognise(&part, rejections).await?;
            if counters { quarantine_statements::lock_counters(&part, rejections).await } else { Ok(()) }
        };
        match recognised.await.map_err(Failure::from) {
            Ok(()) => part.commit().await?,
            Err(Failure::Answered(answer)) => {
                part.rollback().await?;
                put_off_all::<Self>(batch, answer);
                return Ok(0);
            }
            Err(away) => return Err(away),
        }
        let mut stored = 0;
        // What was refused is moved to the end, and tried again from there.
        let mut first = 0;
        while first < batch.items.rejections.len() {
            let is_first_try = first == 0;
            let sorted = bisect(
                transaction,
                &batch.items.rejections[first..],
                async |part, rejections| quarantine_statements::store(part, rejections, counters).await,
                async |part, rejection, answer| {
                    Ok(is_first_try && probe::quarantine(part, rejection, answer, counters).await?)
                },
            )
            .await?;
            stored += sorted.sum();
            let mut done: Vec<Self> = batch.items.rejections.drain(..first).collect();
            let refused = settle::<Self, _>(batch, sorted, attempt.policy);
            done.append(&mut batch.items.rejections);
            first = done.len() - refused;
            batch.items.rejections = done;
        }
        Ok(stored)
    }

    /// Its record already has a reason of its own.
    fn reject(mut self, _: String, _: &QuarantinePolicy) -> PendingQuarantine {
        self.ask_for_less();
        self
    }

    fn count(_: &[Self], stored: &u64, metrics: &PostgresMetrics) {
        metrics.quarantined.inc_by(*stored);
    }

    fn forward(rejections: Vec<Self>, _: u64, forwarding: &mut Forwarding<'_>) {
        for rejection in rejections {
            let verdict = rejection.verdict();
            if let Some(guard) = rejection.guard {
                forwarding.settle(guard, verdict);
            }
            rejection.owed.confirm();
        }
    }
}
