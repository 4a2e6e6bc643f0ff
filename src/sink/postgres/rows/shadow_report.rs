//! Shadow reports: what a device says its state is, in `device_state`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use super::refused;
use crate::metrics::{Effect, PostgresMetrics};
use crate::postgres::classify::Failure;
use crate::postgres::types::UnixMicros;
use crate::sink::postgres::batch::Batch;
use crate::sink::postgres::bisect::bisect;
use crate::sink::postgres::downstream::Forwarding;
use crate::sink::postgres::isolate::settle;
use crate::sink::postgres::kinds::ShadowItem;
use crate::sink::postgres::partitions::Day;
use crate::sink::postgres::probe;
use crate::sink::postgres::quarantine::PendingQuarantine;
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use crate::sink::postgres::row::{Attempt, Row};
use ingest_core::flow::disposition::Verdict;

impl Row for ShadowItem {
    fn day(&self) -> Option<Day> {
        None
    }

    async fn insert(transaction: &Transaction<'_>, shadows: &mut [Self], _: &Attempt<'_>) -> Result<u64, Error> {
        update(transaction, shadows).await
    }

    async fn insert_bisecting(
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        attempt: &Attempt<'_>,
    ) -> Result<u64, Failure> {
        let sorted = bisect(
            transaction,
            &batch.items.shadows,
            async |part, shadows| update(part, shadows).await,
            async |part, (_, report), answer| {
                probe::shadows(part, &report.device.key, &report.device.site_id, answer).await
            },
        )
        .await?;
        let changed = sorted.sum();
        settle::<Self, _>(batch, sorted, attempt.policy);
        Ok(changed)
    }

    fn reject(self, why: String, policy: &QuarantinePolicy) -> PendingQuarantine {
        let (delivery, report) = self;
        let record = refused::side_update(&report.device.key, "shadow/reported", &report.reported, why);
        refused::rejection(delivery, record, policy)
    }

    fn count(shadows: &[Self], changed: &u64, metrics: &PostgresMetrics) {
        metrics.shadow_reports.of(Effect::Applied).inc_by(*changed);
        metrics.shadow_reports.of(Effect::Unchanged).inc_by((shadows.len() as u64).saturating_sub(*changed));
    }

    fn forward(shadows: Vec<Self>, _: u64, forwarding: &mut Forwarding<'_>) {
        for (delivery, _) in shadows {
            forwarding.settle(delivery.into_guard(), Verdict::Done);
        }
    }
}

/// Shadow reports, compared and set by version and broker time; how many changed their device's state.
async fn update(transaction: &Transaction<'_>, reports: &[ShadowItem]) -> Result<u64, Error> {
    // A report that has no time on record is older than any other of its version.
    const SQL: &str = "
        INSERT INTO device_state AS s (tenant_id, device_id, site_id, reported_state, reported_version, reported_at,
            last_seen_at)
        SELECT tenant_id, device_id, site_id, state::jsonb, version, received_at, received_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
        AS r (tenant_id, device_id, site_id, state, version, received_at)
        ORDER BY tenant_id, device_id
        ON CONFLICT (tenant_id, device_id) DO UPDATE SET
            reported_state = excluded.reported_state,
            reported_version = excluded.reported_version,
            reported_at = excluded.reported_at,
            last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
        WHERE s.reported_version IS NULL
            OR (s.reported_version, coalesce(s.reported_at, '-infinity'))
                <= (excluded.reported_version, excluded.reported_at)";

    // The statement takes each device once: of several reports the one that would stay.
    let order = |(delivery, report): &ShadowItem| (report.version, delivery.origin.received_us);
    let mut winners: HashMap<_, &ShadowItem> = HashMap::with_capacity(reports.len());
    for report in reports {
        match winners.entry(&report.1.device.key) {
            Entry::Occupied(mut winner) if order(winner.get()) <= order(report) => {
                winner.insert(report);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(report);
            }
        }
    }
    let winners: Vec<_> = winners.into_values().collect();
    let tenants: Vec<&str> = winners.iter().map(|(_, report)| &*report.device.key.tenant_id).collect();
    let devices: Vec<&str> = winners.iter().map(|(_, report)| &*report.device.key.device_id).collect();
    let sites: Vec<&str> = winners.iter().map(|(_, report)| report.device.site_id.as_str()).collect();
    let states: Vec<&str> = winners.iter().map(|(_, report)| report.reported.as_str()).collect();
    let versions: Vec<i64> = winners.iter().map(|(_, report)| report.version).collect();
    let received: Vec<UnixMicros> =
        winners.iter().map(|(delivery, _)| UnixMicros(delivery.origin.received_us)).collect();
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&tenants, &devices, &sites, &states, &versions, &received]).await
}
