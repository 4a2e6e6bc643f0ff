//! Bisection: stores as many items of a list as can be, and finds out what is wrong with the others.
//!
//! The list is tried as a whole behind a savepoint, and in ever smaller pieces where it is refused ([`Bisect`]). What is left
//! alone and still refused is to blame itself, unless a probe shows that anything else would be refused as well.

use std::collections::HashSet;
use std::ops::Range;

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use crate::postgres::classify::{Failure, Meaning, ServerError};
use crate::runtime::bisect::Bisect;

/// Most causes that are probed in one list.
const MAX_PROBED: usize = 8;

/// What became of a list.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    /// The pieces that were stored, with what storing them returned.
    pub stored: Vec<(Range<usize>, T)>,
    /// Items that are refused for what they are.
    pub refused: Vec<(usize, ServerError)>,
    /// Items that can't be stored now, although nothing is known to be wrong with them.
    pub put_off: Vec<(usize, ServerError)>,
    /// Whether nothing at all could be stored, for a reason that anything else would meet as well.
    pub is_general: bool,
}

impl<T> Sorted<T> {
    /// The items that were not stored.
    pub(super) fn missing(&self) -> HashSet<usize> {
        self.refused.iter().chain(&self.put_off).map(|(index, _)| *index).collect()
    }
}

impl Sorted<u64> {
    /// All that storing the pieces returned.
    pub(super) fn sum(&self) -> u64 {
        self.stored.iter().map(|(_, count)| count).sum()
    }
}

/// Stores items. `store` stores a piece of them; `probe` tells whether the given answer to the given item would be the answer to
/// something else, too, and leaves nothing behind.
///
/// # Errors
/// When PostgreSQL does not answer any more: then nothing is stored.
pub(super) async fn bisect<I, T>(
    transaction: &mut Transaction<'_>,
    items: &[I],
    store: impl AsyncFn(&Transaction<'_>, &[I]) -> Result<T, Error>,
    probe: impl AsyncFn(&mut Transaction<'_>, &I, &ServerError) -> Result<bool, Failure>,
) -> Result<Sorted<T>, Failure> {
    let mut sorted = Sorted { stored: Vec::new(), refused: Vec::new(), put_off: Vec::new(), is_general: false };
    let mut pieces = Bisect::new(items.len());
    let mut has_probed = false;
    while let Some(piece) = pieces.next() {
        let answer = match attempt(transaction, &items[piece.clone()], &store).await? {
            Ok(stored) => {
                sorted.stored.push((piece, stored));
                continue;
            }
            Err(answer) => answer,
        };
        // Trouble of the server's own is no reason to try a thousand pieces, if all of them meet it.
        if answer.meaning != Meaning::Refused && !has_probed {
            has_probed = true;
            if probe(transaction, &items[piece.start], &answer).await? {
                sorted.is_general = true;
                let left = piece.chain(pieces.untried());
                sorted.put_off.extend(left.map(|index| (index, answer.clone())));
                return Ok(sorted);
            }
        }
        if let Some(index) = pieces.refused(&piece, answer.at) {
            match answer.meaning {
                Meaning::Refused => sorted.refused.push((index, answer)),
                Meaning::NotNow | Meaning::Unfit => sorted.put_off.push((index, answer)),
            }
        }
    }
    acquit(transaction, items, &mut sorted, &store, &probe).await?;
    Ok(sorted)
}

/// Tries a piece behind a savepoint.
async fn attempt<I, T>(
    transaction: &mut Transaction<'_>,
    piece: &[I],
    store: &impl AsyncFn(&Transaction<'_>, &[I]) -> Result<T, Error>,
) -> Result<Result<T, ServerError>, Failure> {
    let part = transaction.savepoint("part").await?;
    match store(&part, piece).await.map_err(Failure::from) {
        Ok(stored) => {
            part.commit().await?;
            Ok(Ok(stored))
        }
        Err(Failure::Answered(answer)) => {
            part.rollback().await?;
            // Rolled back, it still stands: thousands of them would pile up.
            transaction.batch_execute("RELEASE part").await?;
            Ok(Err(answer))
        }
        Err(away) => Err(away),
    }
}

/// Puts off what is refused for a reason that is not its own: one that is gone meanwhile, for somebody has repaired the table,
/// or one that anything else would meet. Where something was stored, what was not is to blame; but a partition may be
/// missing for some days only.
async fn acquit<I, T>(
    transaction: &mut Transaction<'_>,
    items: &[I],
    sorted: &mut Sorted<T>,
    store: &impl AsyncFn(&Transaction<'_>, &[I]) -> Result<T, Error>,
    probe: &impl AsyncFn(&mut Transaction<'_>, &I, &ServerError) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut causes: Vec<(usize, ServerError)> = Vec::new();
    for (index, answer) in &sorted.refused {
        if causes.len() < MAX_PROBED && causes.iter().all(|(_, other)| other.cause != answer.cause) {
            causes.push((*index, answer.clone()));
        }
    }
    for (index, answer) in causes {
        let is_gone = !is_refused_still(transaction, &items[index], store).await?;
        let is_doubtful = !answer.is_about_another_row() && (sorted.stored.is_empty() || answer.is_missing_partition());
        if is_gone || (is_doubtful && probe(transaction, &items[index], &answer).await?) {
            let (acquitted, own): (Vec<_>, Vec<_>) =
                std::mem::take(&mut sorted.refused).into_iter().partition(|(_, other)| other.cause == answer.cause);
            sorted.refused = own;
            sorted.put_off.extend(acquitted);
            sorted.is_general |= sorted.stored.is_empty() && !is_gone;
        }
    }
    Ok(())
}

/// Tries a refused item once more, and takes it back.
async fn is_refused_still<I, T>(
    transaction: &mut Transaction<'_>,
    item: &I,
    store: &impl AsyncFn(&Transaction<'_>, &[I]) -> Result<T, Error>,
) -> Result<bool, Failure> {
    let part = transaction.savepoint("again").await?;
    let result = store(&part, std::slice::from_ref(item)).await.map_err(Failure::from);
    part.rollback().await?;
    transaction.batch_execute("RELEASE again").await?;
    match result {
        Err(away @ Failure::Away(_)) => Err(away),
        other => Ok(other.is_err()),
    }
}
