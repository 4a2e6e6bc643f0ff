//! The rejection counters before and after a message, and which message they belong to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::message::Verdict;
use super::run::Settled;
use crate::world::DEADLINE;

/// Longest wait for counts that are still missing: what is not stored may be counted a moment after its verdict.
const PATIENCE: Duration = DEADLINE;

pub(super) type Counters = BTreeMap<(String, String), i64>;

/// The counters of all minutes together, by tenant and reason. `POINT_REFUSED` is no verdict on a message.
pub(super) async fn read(client: &Client) -> Counters {
    let sql = "SELECT tenant_id, reason, sum(cnt)::bigint FROM quarantine_counters_minute
               WHERE reason <> 'POINT_REFUSED' GROUP BY 1, 2";
    let rows = client.query(sql, &[]).await.expect("the counters");
    rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

/// Gives each rejected message of a step its count, and tells the messages that were only counted from those that were
/// applied. Returns an error for each count that belongs to no message.
pub(super) async fn assign(client: &Client, before: &Counters, settled: &mut [Settled<'_>]) -> Vec<String> {
    let wanted = settled.iter().filter(|one| is_to_be_counted(one)).count();
    let start = Instant::now();
    let mut counts = loop {
        let counts = difference(before, &read(client).await);
        if counts.len() >= wanted || start.elapsed() > PATIENCE {
            break counts;
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // polls until the counts are there
    };
    for one in settled.iter_mut() {
        if let Verdict::Quarantined { reason, counted_for, .. } = &mut one.verdict {
            let at = counts.iter().position(|(_, counted)| counted == reason);
            *counted_for = at.map(|at| counts.swap_remove(at).0);
        }
    }
    for one in settled.iter_mut().filter(|one| matches!(one.verdict, Verdict::Nothing)) {
        let fits = |(_, counted): &(String, String)| {
            one.expect.alternatives().any(|expect| expect.reason.as_ref().is_some_and(|reason| reason.has(counted)))
        };
        let at = counts.iter().position(fits).or((!counts.is_empty()).then_some(0));
        if let Some(at) = at {
            let (tenant_id, reason) = counts.swap_remove(at);
            one.verdict = Verdict::Counted { reason, tenant_id };
        }
    }
    counts.iter().map(|(tenant, reason)| format!("{reason} was counted for {tenant:?} without a rejection")).collect()
}

fn is_to_be_counted(one: &Settled<'_>) -> bool {
    match one.verdict {
        Verdict::Quarantined { .. } => true,
        Verdict::Nothing => one.expect.alternatives().all(|expect| expect.outcome.as_deref() == Some("quarantined")),
        _ => false,
    }
}

/// What was added, one entry per count.
fn difference(before: &Counters, after: &Counters) -> Vec<(String, String)> {
    let added = after.iter().map(|(key, count)| (key, count - before.get(key).unwrap_or(&0)));
    added.flat_map(|(key, more)| vec![key.clone(); usize::try_from(more).unwrap_or(0)]).collect()
}
