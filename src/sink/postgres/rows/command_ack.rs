//! Command acknowledgements: they move commands of `device_commands` from `queued` to `delivered`.

use std::collections::HashMap;

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
use crate::sink::postgres::kinds::AckItem;
use crate::sink::postgres::partitions::Day;
use crate::sink::postgres::probe;
use crate::sink::postgres::quarantine::PendingQuarantine;
use crate::sink::postgres::quarantine_policy::QuarantinePolicy;
use crate::sink::postgres::row::{Attempt, Row};
use ingest_core::flow::disposition::Verdict;

impl Row for AckItem {
    fn day(&self) -> Option<Day> {
        None
    }

    async fn insert(transaction: &Transaction<'_>, acks: &mut [Self], _: &Attempt<'_>) -> Result<u64, Error> {
        update(transaction, acks).await
    }

    async fn insert_bisecting(
        transaction: &mut Transaction<'_>,
        batch: &mut Batch,
        attempt: &Attempt<'_>,
    ) -> Result<u64, Failure> {
        let sorted = bisect(
            transaction,
            &batch.items.acks,
            async |part, acks| update(part, acks).await,
            async |part, (_, ack), answer| probe::acks(part, &ack.device.key, &ack.command_id, answer).await,
        )
        .await?;
        let changed = sorted.sum();
        settle::<Self, _>(batch, sorted, attempt.policy);
        Ok(changed)
    }

    fn reject(self, why: String, policy: &QuarantinePolicy) -> PendingQuarantine {
        let (delivery, ack) = self;
        let record = refused::side_update(&ack.device.key, "commands/ack", &ack.ack_details, why);
        refused::rejection(delivery, record, policy)
    }

    fn count(acks: &[Self], changed: &u64, metrics: &PostgresMetrics) {
        metrics.command_acks.of(Effect::Applied).inc_by(*changed);
        metrics.command_acks.of(Effect::Unchanged).inc_by((acks.len() as u64).saturating_sub(*changed));
    }

    fn forward(acks: Vec<Self>, _: u64, forwarding: &mut Forwarding<'_>) {
        for (delivery, _) in acks {
            forwarding.settle(delivery.into_guard(), Verdict::Done);
        }
    }
}

/// Command acknowledgements; how many commands they moved from `queued` to `delivered`.
async fn update(transaction: &Transaction<'_>, acks: &[AckItem]) -> Result<u64, Error> {
    const SQL: &str = "
        WITH locked AS MATERIALIZED (
            SELECT c.tenant_id, c.device_id, c.command_id, a.details, a.acked_at
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
                AS a (tenant_id, device_id, command_id, details, acked_at)
            JOIN device_commands c ON c.tenant_id = a.tenant_id AND c.device_id = a.device_id
                AND c.command_id = a.command_id AND c.status = 'queued'
            ORDER BY c.tenant_id, c.command_id FOR UPDATE OF c
        )
        UPDATE device_commands c SET status = 'delivered', acked_at = l.acked_at, ack_details = l.details::jsonb
        FROM locked l
        WHERE c.tenant_id = l.tenant_id AND c.device_id = l.device_id AND c.command_id = l.command_id
            AND c.status = 'queued'";

    // The first acknowledgement of a command counts, as it does across transactions.
    let mut firsts: HashMap<_, &AckItem> = HashMap::with_capacity(acks.len());
    for ack in acks {
        firsts.entry((&ack.1.device.key, ack.1.command_id.as_str())).or_insert(ack);
    }
    let firsts: Vec<_> = firsts.into_values().collect();
    let tenants: Vec<&str> = firsts.iter().map(|(_, ack)| &*ack.device.key.tenant_id).collect();
    let devices: Vec<&str> = firsts.iter().map(|(_, ack)| &*ack.device.key.device_id).collect();
    let commands: Vec<&str> = firsts.iter().map(|(_, ack)| ack.command_id.as_str()).collect();
    let details: Vec<&str> = firsts.iter().map(|(_, ack)| ack.ack_details.as_str()).collect();
    let acked: Vec<UnixMicros> = firsts.iter().map(|(delivery, _)| UnixMicros(delivery.origin.received_us)).collect();
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&tenants, &devices, &commands, &details, &acked]).await
}
