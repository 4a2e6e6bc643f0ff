//! Isolation of what can't be asked: a batch that is refused is asked in halves, down to the one that is to blame.

use super::error::RegistryError;
use crate::runtime::bisect::Bisect;

/// What was asked for, one by one, and what could not be.
#[derive(Debug)]
pub(super) struct Isolated<'k, K, A> {
    /// The answers.
    pub answers: Vec<A>,
    /// What is refused even alone, and why.
    pub refused: Vec<(&'k K, String)>,
}

/// Asks for all keys at once, and where that is refused for halves of them.
///
/// First nothing at all is asked for: where that is refused too, it is the statement that does not fit the database, and
/// no key is to blame.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn ask_bisecting<'k, K, A>(
    keys: &'k [K],
    mut ask: impl AsyncFnMut(&'k [K]) -> Result<Vec<A>, RegistryError>,
) -> Result<Isolated<'k, K, A>, RegistryError> {
    let mut isolated = Isolated { answers: Vec::new(), refused: Vec::new() };
    let mut is_probed = false;
    let mut bisect = Bisect::new(keys.len());
    while let Some(piece) = bisect.next() {
        let fault = match ask(&keys[piece.clone()]).await {
            Ok(answers) => {
                isolated.answers.extend(answers);
                continue;
            }
            Err(RegistryError::Question(why)) => why,
            Err(fault) => return Err(fault),
        };
        if !is_probed {
            ask(&[]).await.map_err(|fault| RegistryError::Database(fault.to_string()))?;
            is_probed = true;
        }
        if let Some(culprit) = bisect.refused(&piece, None) {
            isolated.refused.push((&keys[culprit], fault));
        }
    }
    Ok(isolated)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn refuse<T>() -> Result<T, RegistryError> {
        Err(RegistryError::Question("22P02".to_owned()))
    }

    #[tokio::test]
    async fn whoever_is_refused_costs_no_other_its_answer() {
        let keys: Vec<u32> = (0..1_000).collect();
        let asked = Cell::new(0);
        let isolated = ask_bisecting(&keys, async |keys: &[u32]| {
            asked.set(asked.get() + 1);
            if keys.iter().any(|key| key % 100 == 7) { refuse() } else { Ok(keys.to_vec()) }
        })
        .await
        .unwrap();
        assert_eq!(isolated.answers, keys.iter().copied().filter(|key| key % 100 != 7).collect::<Vec<_>>());
        assert_eq!(
            isolated.refused.iter().map(|(key, _)| **key).collect::<Vec<_>>(),
            [7, 107, 207, 307, 407, 507, 607, 707, 807, 907]
        );
        assert!(asked.get() < 200, "{} questions", asked.get());
    }

    #[tokio::test]
    async fn a_statement_that_is_always_refused_blames_nobody() {
        let asked = Cell::new(0);
        let answer = ask_bisecting(&[1, 2, 3], async |_: &[u32]| {
            asked.set(asked.get() + 1);
            refuse::<Vec<u32>>()
        })
        .await;
        assert!(matches!(answer, Err(RegistryError::Database(_))));
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test]
    async fn an_outage_in_the_middle_ends_it() {
        let answer = ask_bisecting(&[1, 2], async |keys: &[u32]| match keys {
            [1, 2] => refuse(),
            [] => Ok(vec![]),
            _ => Err(RegistryError::Silent),
        })
        .await;
        assert_eq!(answer.map(|isolated: Isolated<'_, _, u32>| isolated.answers), Err(RegistryError::Silent));
    }
}
