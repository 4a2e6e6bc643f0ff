//! Waiting for conditions instead of fixed sleeps.

use std::time::{Duration, Instant};

/// Least and most time between two looks at a condition: short against everything we wait for, long against what a look costs.
/// Between them it is a twentieth of what has been waited: most looks are new connections to a server that others use, too.
const POLL_MIN: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_millis(100);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within `deadline`; the message names `what`.
pub async fn wait_for(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    wait_for_value(what, deadline, async || condition().await.then_some(())).await
}

/// Waits until `look` finds something and returns it.
///
/// # Panics
/// When it finds nothing within `deadline`; the message names `what`.
pub async fn wait_for_value<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain for: {what}");
        tokio::time::sleep((start.elapsed() / 20).clamp(POLL_MIN, POLL_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        wait_for("the third look", Duration::from_secs(5), async || {
            looks += 1;
            looks == 3
        })
        .await;
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for: the moon")]
    async fn a_wait_without_success_says_what_it_waited_for() {
        wait_for("the moon", Duration::from_millis(50), async || false).await;
    }
}
