//! A batch of which something was refused: finds out what, and stores the rest.
//!
//! Each kind is tried as a whole behind a savepoint. Where the server names the refused row, the rows before and after
//! it are tried next; where it does not, the halves. What is left alone and still refused becomes a refusal of its own.

use std::ops::Range;

use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};

use super::batch::{Batch, Poison};
use super::classify::Failure;
use super::outbox;
use super::quarantine::Keep;
use super::statement;
use super::store::Stored;
use crate::core::event::Content;
use crate::debt::Outbox;
use crate::failpoint;
use crate::sink::Fault;

/// Stores a batch without what is refused, which it turns into refusals and stores as such.
///
/// # Errors
/// Faults only: then nothing of the batch is stored.
pub async fn store_isolated(
    client: &mut Object,
    batch: &mut Batch,
    counters: bool,
    outbox: Option<&Outbox>,
) -> Result<Stored, Failure> {
    let mut transaction = client.transaction().await?;
    let mut stored = Stored::default();
    let mut poison = Poison::default();

    let events = &batch.events;
    let (rows, refused) = without_refused(&mut transaction, events.len(), async |part, range| {
        let rows = statement::copy_new(part, statement::encode(events[range].iter())).await?;
        statement::unstage(part).await?;
        Ok(rows)
    })
    .await?;
    stored.rows = rows;
    stored.duplicates = (events.len() as u64).saturating_sub(rows + refused.len() as u64);
    poison.events = refused;

    let shadows = &batch.shadows;
    (stored.shadows, poison.shadows) = without_refused(&mut transaction, shadows.len(), async |part, range| {
        statement::shadows(part, &shadows[range]).await
    })
    .await?;

    let acks = &batch.acks;
    (stored.acks, poison.acks) =
        without_refused(&mut transaction, acks.len(), async |part, range| statement::acks(part, &acks[range]).await)
            .await?;

    batch.refuse(poison);
    let owed = match outbox {
        Some(outbox) => {
            let statement = outbox::prepare(&transaction).await?;
            outbox::record(&transaction, &statement, outbox, &batch.events).await?
        }
        None => Vec::new(),
    };
    (stored.quarantined, stored.unkept) = store_refusals(&mut transaction, batch, counters).await?;
    failpoint::pass("writer");
    transaction.commit().await?;
    batch.owed = owed;
    Ok(stored)
}

/// Stores the refusals. One that can't be stored as it is loses its JSON form first, and is only counted at last. How
/// many were stored, and how many only counted for that.
async fn store_refusals(
    transaction: &mut Transaction<'_>,
    batch: &mut Batch,
    counters: bool,
) -> Result<(u64, u64), Failure> {
    let (mut quarantined, mut unkept) = (0, 0);
    let mut left: Vec<usize> = (0..batch.refusals.len()).collect();
    while !left.is_empty() {
        // Those that are left are moved to the end, so that a slice names them.
        let first = batch.refusals.len() - left.len();
        for (place, index) in left.iter().rev().enumerate() {
            let last = batch.refusals.len() - 1 - place;
            batch.refusals.swap(*index, last);
        }
        let refusals = &batch.refusals[first..];
        let (new, refused) = without_refused(transaction, refusals.len(), async |part, range| {
            statement::mirror(part, &refusals[range.clone()]).await?;
            statement::quarantine(part, &refusals[range], counters).await
        })
        .await?;
        quarantined += new;
        left = refused.iter().map(|(index, _)| first + index).collect();
        for (index, message) in refused {
            let one = &mut batch.refusals[first + index];
            match &mut one.refusal.content {
                Content::Json(json) => one.refusal.content = Content::Raw(Bytes::from(std::mem::take(json))),
                Content::Raw(_) if one.keep.event || one.keep.mirror => {
                    one.keep = Keep::COUNTED;
                    unkept += 1;
                }
                Content::Raw(_) => return Err(Failure::Fault(Fault::Fatal(message))),
            }
        }
    }
    Ok((quarantined, unkept))
}

/// Runs `store` over `0..count` in as few pieces as it takes to leave out what is refused for good; the sum of what it
/// returned, and what was refused, by index in ascending order.
async fn without_refused(
    transaction: &mut Transaction<'_>,
    count: usize,
    store: impl AsyncFn(&Transaction<'_>, Range<usize>) -> Result<u64, tokio_postgres::Error>,
) -> Result<(u64, Vec<(usize, String)>), Failure> {
    let mut sum = 0;
    let mut refused = Vec::new();
    let mut pieces: Vec<Range<usize>> = std::iter::once(0..count).collect();
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        let part = transaction.savepoint("part").await?;
        match store(&part, piece.clone()).await.map_err(Failure::from) {
            Ok(more) => {
                part.commit().await?;
                sum += more;
            }
            Err(Failure::Fault(Fault::Poison { at, message })) => {
                part.rollback().await?;
                // Rolled back, it still stands: thousands of them would pile up.
                transaction.batch_execute("RELEASE part").await?;
                let named = at.map(|at| piece.start + at).filter(|at| piece.contains(at));
                match named.or((piece.len() == 1).then_some(piece.start)) {
                    Some(at) => {
                        refused.push((at, message));
                        pieces.push(at + 1..piece.end);
                        pieces.push(piece.start..at);
                    }
                    None => {
                        let middle = piece.start + piece.len() / 2;
                        pieces.push(middle..piece.end);
                        pieces.push(piece.start..middle);
                    }
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    refused.sort_unstable_by_key(|(at, _)| *at);
    Ok((sum, refused))
}
