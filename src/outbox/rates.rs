//! How fast each tenant's backlog is worked off: confirmed lines per second, smoothed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What is this long ago counts for a third: a claim batch that is confirmed is no leap, and the end of a redelivery shows
/// within a minute.
const SMOOTHED_OVER: Duration = Duration::from_secs(10);

/// Below this, in lines per second, a tenant is not being redelivered.
const LEAST: f64 = 0.1;

/// The tenants that are redelivered.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Arc<str>, Rate>);

#[derive(Debug, Default)]
struct Rate {
    /// Lines since the last update.
    lines: u64,
    /// `None` before the first one.
    per_sec: Option<f64>,
}

impl Rates {
    /// Lines of a tenant were confirmed.
    pub(super) fn add(&mut self, tenant_id: &Arc<str>, lines: u64) {
        if lines > 0 {
            self.0.entry(tenant_id.clone()).or_default().lines += lines;
        }
    }

    /// Takes over what was added since the last call, `since` ago.
    pub(super) fn update(&mut self, since: Duration) {
        let secs = since.as_secs_f64().max(0.001);
        let weight = 1.0 - (-secs / SMOOTHED_OVER.as_secs_f64()).exp();
        self.0.retain(|_, rate| {
            let now = std::mem::take(&mut rate.lines) as f64 / secs;
            let smooth = rate.per_sec.map_or(now, |before| before + weight * (now - before));
            rate.per_sec = Some(smooth);
            smooth >= LEAST
        });
    }

    /// Lines per second; `None` where nothing is redelivered.
    pub(super) fn of(&self, tenant_id: &str) -> Option<f64> {
        self.0.get(tenant_id)?.per_sec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_smooth_and_ends_with_the_redelivery() {
        let (mut rates, acme) = (Rates::default(), Arc::from("acme"));
        rates.add(&acme, 0);
        rates.update(SECOND);
        assert_eq!(rates.of("acme"), None, "nothing was confirmed");
        // A claim batch of 5,000 lines every other second.
        for second in 0..60 {
            rates.add(&acme, if second % 2 == 0 { 5_000 } else { 0 });
            rates.update(SECOND);
        }
        let rate = rates.of("acme").expect("a rate");
        assert!((2_200.0..2_800.0).contains(&rate), "{rate}");
        for _ in 0..120 {
            rates.update(SECOND);
        }
        assert_eq!(rates.of("acme"), None);
    }
}
