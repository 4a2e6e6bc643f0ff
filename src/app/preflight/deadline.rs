//! The bound on all checks: they run side by side, and none is waited for any longer.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::result::CheckResult;

/// Longest time that a check may take.
const BOUND: Duration = Duration::from_secs(10);

/// When every check has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// From now on.
    pub(super) fn start() -> Self {
        Self(Instant::now() + BOUND)
    }

    /// What a check finds.
    ///
    /// # Errors
    /// A result, where there is no answer in time.
    pub(super) async fn of<T>(self, about: &str, check: impl Future<Output = T>) -> Result<T, CheckResult> {
        timeout_at(self.0, check).await.map_err(|_| {
            let advice = "it accepts connections and does not answer: look at the server, and at what is in between";
            CheckResult::away(about, format!("no answer within {} s", BOUND.as_secs()), advice)
        })
    }
}
