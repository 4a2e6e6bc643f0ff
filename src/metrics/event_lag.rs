//! How late events are: a histogram that a chunk of events adds to in one go, without a lock.

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in seconds, from events of the broker's own moment, or a later one, to those of a day ago.
const BOUNDS: [f64; 15] =
    [0.0, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];
/// One more for what is later than all of them.
const BUCKETS: usize = BOUNDS.len() + 1;

/// `ingest_event_lag_seconds`: the broker's time of accepted events minus their own.
#[derive(Debug)]
pub struct EventLag {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What a chunk of events adds to it.
#[derive(Clone, Debug, Default)]
pub struct EventLags {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl EventLags {
    /// An event of this time that the broker received then, both in Unix microseconds. A time in the future is no lag.
    pub fn observe(&mut self, received_us: i64, event_us: i64) {
        let lag_us = received_us.saturating_sub(event_us).max(0) as u64;
        let bucket = BOUNDS.partition_point(|bound| *bound < lag_us as f64 / 1e6);
        self.buckets[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(lag_us);
    }
}

impl EventLag {
    /// Adds a chunk.
    pub fn add(&self, lags: &EventLags) {
        for (bucket, count) in self.buckets.iter().zip(lags.buckets).filter(|(_, count)| *count > 0) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(lags.sum_us, Ordering::Relaxed);
    }
}

impl Default for EventLag {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

impl Collector for EventLag {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Broker's time of accepted events minus their own; 0 for times in the future. Events without a usable \
            time are left out.";
        let mut histogram = encoder.encode_descriptor("event_lag_seconds", help, None, MetricType::Histogram)?;
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(self.buckets.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn events_are_counted_in_the_bucket_of_their_lag_and_those_of_the_future_in_the_first() {
        let metrics = Metrics::new();
        let mut lags = EventLags::default();
        for (received_us, event_us) in
            [(0, 5_000_000), (7, 7), (1_500_000, 0), (100_000, 0), (i64::MAX, i64::MIN), (400_000_000_000, 0)]
        {
            lags.observe(received_us, event_us);
        }
        metrics.validation.event_lag.add(&lags);
        let text = metrics.open_metrics().unwrap();
        for (bound, count) in [("0.0", 2), ("0.1", 3), ("1.0", 3), ("2.5", 4), ("86400.0", 4), ("+Inf", 6)] {
            let sample = format!("ingest_event_lag_seconds_bucket{{le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&sample), "no {sample} in\n{text}");
        }
        assert!(text.contains("ingest_event_lag_seconds_count 6\n"), "{text}");
    }
}
