//! The outbox backlog per tenant: series that exist while a tenant has outbox entries, for a bounded number of tenants.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The outbox backlog of one tenant, or of all remaining tenants together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutboxBacklog {
    /// The `tenant` label.
    pub tenant: String,
    /// Lines in the outbox.
    pub lines: i64,
    /// Age of the oldest, in seconds.
    pub oldest_secs: i64,
    /// Redelivered lines per second, and the seconds until the backlog is empty at that rate; `None` while none is
    /// redelivered.
    pub replay: Option<(f64, f64)>,
}

/// The tenants with a backlog, as last counted.
#[derive(Debug, Default)]
pub struct OutboxBacklogs(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    backlogs: Vec<OutboxBacklog>,
    /// When they were counted, and until when that holds; `None` where nobody counts.
    time: Option<(Instant, Instant)>,
}

impl OutboxBacklogs {
    /// Replaces the tenants shown. Another count is due by then.
    pub fn set(&self, backlogs: Vec<OutboxBacklog>, next_by: Instant) {
        *self.lock() = Count { backlogs, time: Some((Instant::now(), next_by)) };
    }

    /// Nobody counts any more.
    pub fn clear(&self) {
        *self.lock() = Count::default();
    }

    /// The tenants with a backlog and the age of the count; `None` where there is none that still holds.
    pub(crate) fn current(&self, now: Instant) -> Option<(Vec<OutboxBacklog>, Duration)> {
        let count = self.lock();
        let (counted, next_by) = count.time?;
        (now <= next_by).then(|| (count.backlogs.clone(), now.saturating_duration_since(counted)))
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.lock()
    }
}

impl Collector for OutboxBacklogs {
    /// One snapshot for all series of a scrape: a tenant has all of its figures or none.
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        type Value = fn(&OutboxBacklog) -> Option<f64>;
        const SERIES: [(&str, &str, Value); 4] = [
            ("influx_owed_lines", "Lines on record for a late tenant, of all replicas.", |of| Some(of.lines as f64)),
            ("influx_owed_oldest_seconds", "Age of the oldest of them.", |of| Some(of.oldest_secs as f64)),
            ("influx_replay_lines_per_second", "Lines that this replica replays.", |of| {
                of.replay.map(|(rate, _)| rate)
            }),
            ("influx_replay_eta_seconds", "Time left until all is written, at that rate.", |of| {
                of.replay.map(|(_, eta)| eta)
            }),
        ];
        let count = self.lock();
        for (name, help, value) in SERIES {
            let samples: Vec<_> = count.backlogs.iter().filter_map(|of| Some((of, value(of)?))).collect();
            if samples.is_empty() {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (of, value) in samples {
                ConstGauge::new(value).encode(family.encode_family(&[("tenant", of.tenant.as_str())])?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_unknown_once_the_next_one_is_overdue() {
        let (backlogs, now) = (OutboxBacklogs::default(), Instant::now());
        assert_eq!(backlogs.current(now), None, "nobody has counted");
        backlogs.set(vec![OutboxBacklog { lines: 5, ..OutboxBacklog::default() }], now + Duration::from_secs(30));
        assert_eq!(backlogs.current(now).map(|(of, _)| of[0].lines), Some(5));
        assert_eq!(backlogs.current(now + Duration::from_secs(31)), None);
        backlogs.clear();
        assert_eq!(backlogs.current(now), None);
    }
}
