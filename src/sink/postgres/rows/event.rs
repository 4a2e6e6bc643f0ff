//! Events: rows of `raw_events`, and the record of their points in the outbox.

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use super::refused;
use crate::metrics::PostgresMetrics;
use crate::outbox::insert;
use crate::postgres::classify::Failure;
use crate::sink::postgres::batch::{Batch, WriteMode};
use crate::sink::postgres::bisect::{Sorted, bisect};
use crate::sink::postgres::downstream::Forwarding;
use crate::sink::postgres::isolate::{put_off_all, settle};
use crate::sink::postgres::kinds::EventItem;
use crate::sink::postgres::partitions::Day;
use crate::sink::postgres::quarantine::PendingQuarantine;
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use crate::sink::postgres::row::{Attempt, Row};
use crate::sink::postgres::stored::StoredEvents;
use crate::sink::postgres::{probe, statement};
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::QuarantineRecord;

impl Row for EventItem {
    fn day(&self) -> Option<Day> {
        Some(Day::of(self.0.origin.received_us))
    }

    async fn insert(
        transaction: &Transaction<'_>,
        events: &mut [Self],
        attempt: &Attempt<'_>,
    ) -> Result<StoredEvents, Error> {
        let rows = insert_rows(transaction, events, attempt.write_mode);
        let Some(outbox) = attempt.outbox_of(events) else {
            return Ok(StoredEvents { was_there: rows.await?, ..StoredEvents::default() });
        };
        // Sent one right behind the other: the record costs the rows no round trip.
        let statement = insert::prepare(transaction).await?;
        let record = insert::record(transaction, &statement, outbox, events);
        let (pending_acks, was_there) = tokio::join!(biased; record, rows);
        Ok(StoredEvents { pending_acks: pending_acks?, was_there: was_there? })
    }

    async fn insert_bisecting(
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        attempt: &Attempt<'_>,
    ) -> Result<StoredEvents, Failure> {
        let mut part = transaction.savepoint("events").await?;
        let events = &batch.items.events;
        let sorted = bisect(
            &mut part,
            events,
            async |part, events| {
                let is_new = statement::copy_new(part, &events.iter().collect::<Vec<_>>()).await?;
                statement::unstage(part).await?;
                Ok(is_new)
            },
            async |part, event, answer| probe::rows(part, event, answer, attempt.samples).await,
        )
        .await?;
        let was_there = was_there(&sorted, events.len());
        settle::<Self, _>(batch, sorted, attempt.policy);
        let events = &batch.items.events;
        let recorded = match attempt.outbox {
            Some(outbox) => match insert::prepare(&part).await {
                Ok(statement) => insert::record(&part, &statement, outbox, events).await,
                Err(error) => Err(error),
            },
            None => Ok(Vec::new()),
        };
        match recorded.map_err(Failure::from) {
            Ok(pending_acks) => {
                part.commit().await?;
                Ok(StoredEvents { pending_acks, was_there })
            }
            Err(Failure::Answered(answer)) => {
                // No row without its points on record.
                part.rollback().await?;
                put_off_all::<Self>(batch, answer);
                Ok(StoredEvents::default())
            }
            Err(away) => Err(away),
        }
    }

    fn reject(self, why: String, policy: &QuarantinePolicy) -> PendingQuarantine {
        let (delivery, event) = self;
        let key = &event.device.key;
        let record = QuarantineRecord {
            rejection: Rejection::new(Reason::RowRefused, why),
            tenant_id: Some(key.tenant_id.to_string()),
            site_id: Some(event.device.site_id.clone()),
            device_id: Some(key.device_id.to_string()),
            msg_type: Some(event.msg_type.as_str().to_owned()),
            of_unknown_tenant: false,
            event_us: Some(event.event_us),
            topic: event.topic.to_string(),
            content: refused::content(event.payload.as_bytes()),
        };
        refused::rejection(delivery, record, policy)
    }

    fn count(events: &[Self], stored: &StoredEvents, metrics: &PostgresMetrics) {
        let duplicates = stored.duplicates();
        metrics.rows.inc_by(events.len() as u64 - duplicates);
        metrics.duplicates_suppressed.inc_by(duplicates);
    }

    fn forward(events: Vec<Self>, stored: StoredEvents, forwarding: &mut Forwarding<'_>) {
        let mut pending_acks = stored.pending_acks.into_iter();
        let mut was_there = stored.was_there.into_iter();
        for (delivery, event) in events {
            let pending_ack = pending_acks.next().unwrap_or_default();
            forwarding.event(delivery, event, pending_ack, was_there.next().unwrap_or_default());
        }
    }
}

/// Rows that are new beyond doubt go straight in, the others by way of the staging table. For each whether it was there
/// already; nothing where all are new.
async fn insert_rows(
    transaction: &Transaction<'_>,
    events: &[EventItem],
    write_mode: WriteMode,
) -> Result<Vec<bool>, Error> {
    let is_doubtful: Vec<bool> = events.iter().map(|(delivery, _)| write_mode.stages(delivery)).collect();
    let (doubtful, new): (Vec<_>, Vec<_>) = events.iter().zip(&is_doubtful).partition(|(_, doubtful)| **doubtful);
    if !new.is_empty() {
        statement::copy(transaction, statement::encode(new.iter().map(|(event, _)| *event))).await?;
    }
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let doubtful: Vec<&EventItem> = doubtful.into_iter().map(|(event, _)| event).collect();
    let mut is_new = statement::copy_new(transaction, &doubtful).await?.into_iter();
    Ok(is_doubtful.into_iter().map(|doubtful| doubtful && !is_new.next().unwrap_or(true)).collect())
}

/// Whether each of the stored events' rows was there before.
fn was_there(sorted: &Sorted<Vec<bool>>, count: usize) -> Vec<bool> {
    let mut is_new = vec![false; count];
    for (range, new) in &sorted.stored {
        is_new[range.clone()].copy_from_slice(new);
    }
    let missing = sorted.missing();
    let was_there = (0..count).filter(|index| !missing.contains(index)).map(|index| !is_new[index]);
    was_there.collect()
}
