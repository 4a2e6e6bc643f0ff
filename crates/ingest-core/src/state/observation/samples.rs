//! Samples of one device: latest payloads, and single values out of payloads that are no longer retained.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytestring::ByteString;

use crate::message::metric::{self, Metric};

/// The newest value of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// When, Unix microseconds.
    pub event_us: i64,
    /// Its JSON text.
    pub json: &'a str,
}

/// When a metric was first seen: the broker's time of the message, and the metric's place in it.
pub(super) type FirstSeen = (i64, usize);

/// The newest of all payloads with the same metrics.
#[derive(Clone, Debug)]
pub(super) struct LatestPayload {
    pub(super) signature: u64,
    /// The broker's time of the first message with these metrics.
    pub(super) first_seen_us: i64,
    pub(super) event_us: i64,
    pub(super) payload: ByteString,
}

/// The newest value of one metric.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) first_seen: FirstSeen,
    pub(super) event_us: i64,
    pub(super) json: String,
}

impl LatestPayload {
    /// Adds a later payload with the same metrics in the same order.
    pub(super) fn merge(&mut self, later: LatestPayload) {
        let first_seen_us = self.first_seen_us.min(later.first_seen_us);
        if later.event_us >= self.event_us {
            *self = later;
        }
        self.first_seen_us = first_seen_us;
    }

    /// The payload's metrics in their order, equal names included.
    pub(super) fn readings(&self) -> Vec<(Cow<'_, str>, FirstSeen, Reading<'_>)> {
        let members = metric::read(&self.payload).unwrap_or_default();
        let metrics = members.iter().rev().find(|member| member.key == "metrics").map(|member| member.raw);
        let metrics = metrics.and_then(metric::read).unwrap_or_default().into_iter();
        let reading = |(place, Metric { key, raw })| {
            (key, (self.first_seen_us, place), Reading { event_us: self.event_us, json: raw })
        };
        metrics.enumerate().map(reading).collect()
    }
}

/// Inserts a sample where it is newer than the one of its metric.
pub(super) fn insert_newest(samples: &mut BTreeMap<String, Sample>, metric: String, sample: Sample) {
    match samples.get_mut(&metric) {
        Some(known) => {
            let first_seen = known.first_seen.min(sample.first_seen);
            if sample.event_us >= known.event_us {
                *known = sample;
            }
            known.first_seen = first_seen;
        }
        None => drop(samples.insert(metric, sample)),
    }
}
