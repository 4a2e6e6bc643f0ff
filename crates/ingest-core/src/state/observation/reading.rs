//! The metrics of one device: whole payloads, and single values out of payloads that are not kept.

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

/// When a metric was first heard: the broker's time of the message, and the metric's place in it.
pub(super) type FirstHeard = (i64, usize);

#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) signature: u64,
    /// The broker's time of the first message with these metrics.
    pub(super) first_heard_us: i64,
    pub(super) event_us: i64,
    pub(super) payload: ByteString,
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) first_heard: FirstHeard,
    pub(super) event_us: i64,
    pub(super) json: String,
}

impl Report {
    /// Adds a later report of the same metrics in the same order.
    pub(super) fn merge(&mut self, later: Report) {
        let first_heard_us = self.first_heard_us.min(later.first_heard_us);
        if later.event_us >= self.event_us {
            *self = later;
        }
        self.first_heard_us = first_heard_us;
    }

    /// The payload's metrics in their order, equal names included.
    pub(super) fn readings(&self) -> Vec<(Cow<'_, str>, FirstHeard, Reading<'_>)> {
        let members = metric::read(&self.payload).unwrap_or_default();
        let metrics = members.iter().rev().find(|member| member.key == "metrics").map(|member| member.raw);
        let metrics = metrics.and_then(metric::read).unwrap_or_default().into_iter();
        let reading = |(place, Metric { key, raw })| {
            (key, (self.first_heard_us, place), Reading { event_us: self.event_us, json: raw })
        };
        metrics.enumerate().map(reading).collect()
    }
}

pub(super) fn keep_newest(samples: &mut BTreeMap<String, Sample>, metric: String, sample: Sample) {
    match samples.get_mut(&metric) {
        Some(known) => {
            let first_heard = known.first_heard.min(sample.first_heard);
            if sample.event_us >= known.event_us {
                *known = sample;
            }
            known.first_heard = first_heard;
        }
        None => drop(samples.insert(metric, sample)),
    }
}
