//! A batch of which something was refused: stores what can be stored, each kind on its own.
//!
//! What PostgreSQL refuses for what it is becomes a rejection of its own. What it can't take now is put off, so that the
//! rest need not wait for it.

use deadpool_postgres::Object;

use super::batch::{Batch, PutOff};
use super::bisect::Sorted;
use super::kinds::{Item, Items, Stored, each_kind};
use super::quarantine::PendingQuarantine;
use super::quarantine_policy::QuarantinePolicy;
use super::row::{Attempt, Row};
use crate::postgres::classify::{Failure, ServerError};
use crate::runtime::failpoint;
use ingest_core::flow::batch::extract;

/// Deferred constraints refuse a row where it is written, not the whole at its commit; and what is staged follows the
/// table as it is now.
const BEGIN: &str = "SET CONSTRAINTS ALL IMMEDIATE; DROP TABLE IF EXISTS pg_temp.ingest_staging";

/// Stores a batch without what is refused, which it turns into rejections and stores as such, and without what it puts off
/// ([`Batch::put_off`]).
///
/// # Errors
/// When PostgreSQL does not answer any more, or does not commit: then nothing of the batch is stored.
pub(super) async fn store(client: &mut Object, batch: &mut Batch, attempt: &Attempt<'_>) -> Result<Stored, Failure> {
    let mut transaction = client.transaction().await?;
    transaction.batch_execute(BEGIN).await?;
    let mut stored = Stored::default();
    each_kind!(I, {
        if !I::among(&batch.items).is_empty() {
            *I::among_mut(&mut stored) = I::insert_bisecting(&mut transaction, batch, attempt).await?;
        }
    });
    failpoint::pass("writer");
    transaction.commit().await?;
    if !batch.put_off.is_empty() {
        // The tables may have changed since the statements were prepared.
        client.statement_cache.clear();
    }
    Ok(stored)
}

/// Takes out of a batch what was not stored of a kind: puts off what is put off, and turns what is refused into rejections;
/// how many those are.
pub(super) fn settle<I: Row, T>(batch: &mut Batch, sorted: Sorted<T>, policy: &QuarantinePolicy) -> usize {
    let mut named: Vec<(usize, (bool, ServerError))> = Vec::new();
    named.extend(sorted.refused.into_iter().map(|(index, answer)| (index, (true, answer))));
    named.extend(sorted.put_off.into_iter().map(|(index, answer)| (index, (false, answer))));
    named.sort_unstable_by_key(|(index, _)| *index);
    let (mut later, mut first) = (Items::default(), None);
    let mut rejections: Vec<PendingQuarantine> = Vec::new();
    for (item, (is_refused, answer)) in extract(I::among_mut(&mut batch.items), named) {
        if is_refused {
            rejections.push(item.reject(answer.message, policy));
        } else {
            first.get_or_insert(answer);
            I::among_mut(&mut later).push(item);
        }
    }
    if let Some(answer) = first {
        let later = batch.isolated(later);
        batch.put_off.push(PutOff { kind: I::KIND, is_general: sorted.is_general, answer, batch: later });
    }
    let count = rejections.len();
    batch.items.rejections.append(&mut rejections);
    count
}

/// Puts off everything of a kind.
pub(super) fn put_off_all<I: Item>(batch: &mut Batch, answer: ServerError) {
    if let Some(later) = batch.take_kind(I::KIND) {
        batch.put_off.push(PutOff { kind: I::KIND, is_general: true, answer, batch: later });
    }
}
