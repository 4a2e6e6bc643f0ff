//! What is pending of one device.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::reading::{FirstHeard, Reading, Report, Sample, keep_newest};
use crate::message::device::Device;
use crate::message::msg_type::MsgType;
use crate::message::observed_time::observed_us;
use crate::validate::event::Event;

/// Most payloads kept of one device. One that sends ever other metrics has its oldest ones read early.
pub(super) const MAX_REPORTS: usize = 4;
/// Most values kept of such a device beyond its payloads; many times what any sensor limit lets in.
pub(super) const MAX_SAMPLES: usize = 256;
/// How many of those are the metrics that were heard first, which have the first claim to a sensor; the rest are the newest.
const MAX_FIRST_SAMPLES: usize = MAX_SAMPLES / 2;

/// What was heard of one device.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The device, as the newest message found it in the registry.
    pub device: Arc<Device>,
    /// When the broker last got anything of it, Unix microseconds. Not by the device's word: a wrong clock must not make
    /// it look alive for ever.
    pub seen_us: i64,
    /// The same for heartbeats.
    pub heartbeat_us: Option<i64>,
    /// The same for telemetry.
    pub telemetry_us: Option<i64>,
    /// Where it was last, by the event's time ([`observed_us`]).
    pub location: Option<Location>,
    /// How many events this comes from.
    pub events: u64,
    /// The newest payload per set of metrics; heartbeats have none.
    pub(super) reports: Vec<Report>,
    /// Values out of payloads that are not kept, by metric.
    samples: BTreeMap<String, Sample>,
}

/// A position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// When, Unix microseconds.
    pub event_us: i64,
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
}

impl Observation {
    pub(super) fn of(received_us: i64, event: Event) -> Self {
        let Event { device, msg_type, event_us, payload, location, metrics_signature, .. } = event;
        let event_us = observed_us(event_us, received_us);
        let is_heartbeat = msg_type == MsgType::Heartbeat;
        // Whatever else a message is called, its metrics are measurements.
        let report = (!is_heartbeat).then_some(Report {
            signature: metrics_signature,
            first_heard_us: received_us,
            event_us,
            payload,
        });
        Self {
            device,
            seen_us: received_us,
            heartbeat_us: is_heartbeat.then_some(received_us),
            telemetry_us: (msg_type == MsgType::Telemetry).then_some(received_us),
            location: location.map(|(latitude, longitude)| Location { event_us, latitude, longitude }),
            events: 1,
            reports: report.into_iter().collect(),
            samples: BTreeMap::new(),
        }
    }

    /// Adds what was heard later; of equal times the later one wins.
    pub fn merge(&mut self, later: Observation) {
        if later.seen_us >= self.seen_us {
            self.device = later.device;
        }
        self.seen_us = self.seen_us.max(later.seen_us);
        self.heartbeat_us = self.heartbeat_us.max(later.heartbeat_us);
        self.telemetry_us = self.telemetry_us.max(later.telemetry_us);
        let located_us = |location: Option<Location>| location.map(|location| location.event_us);
        if located_us(later.location) >= located_us(self.location) {
            self.location = later.location;
        }
        self.events += later.events;
        for (metric, sample) in later.samples {
            keep_newest(&mut self.samples, metric, sample);
        }
        for report in later.reports {
            match self.reports.iter_mut().find(|known| known.signature == report.signature) {
                Some(known) => known.merge(report),
                None => self.reports.push(report),
            }
        }
        while self.reports.len() > MAX_REPORTS {
            self.read_oldest_early();
        }
        while self.samples.len() > MAX_SAMPLES {
            self.forget_oldest_sample();
        }
    }

    fn read_oldest_early(&mut self) {
        let oldest = self.reports.iter().enumerate().min_by_key(|(_, report)| report.event_us);
        let Some((index, _)) = oldest else { return };
        let report = self.reports.remove(index);
        for (metric, first_heard, Reading { event_us, json }) in report.readings() {
            keep_newest(
                &mut self.samples,
                metric.into_owned(),
                Sample { first_heard, event_us, json: json.to_owned() },
            );
        }
    }

    /// Forgets the oldest value of a metric that is not among the first.
    fn forget_oldest_sample(&mut self) {
        let mut heard: Vec<FirstHeard> = self.samples.values().map(|sample| sample.first_heard).collect();
        if heard.len() <= MAX_FIRST_SAMPLES {
            return;
        }
        let (_, &mut first_of_the_rest, _) = heard.select_nth_unstable(MAX_FIRST_SAMPLES);
        let rest = self.samples.iter().filter(|(_, sample)| sample.first_heard >= first_of_the_rest);
        let oldest = rest.min_by_key(|(_, sample)| sample.event_us).map(|(metric, _)| metric.clone());
        if let Some(metric) = oldest {
            self.samples.remove(&metric);
        }
    }

    /// The newest value of every metric, in the order in which the metrics were first heard.
    pub fn readings(&self) -> Vec<(Cow<'_, str>, Reading<'_>)> {
        let reported = self.reports.iter().flat_map(Report::readings);
        let sampled = self.samples.iter().map(|(metric, sample)| {
            let reading = Reading { event_us: sample.event_us, json: &sample.json };
            (Cow::Borrowed(metric.as_str()), sample.first_heard, reading)
        });
        let mut readings: Vec<(Cow<'_, str>, FirstHeard, Reading<'_>)> = Vec::new();
        let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
        for (metric, first_heard, reading) in reported.chain(sampled) {
            match places.get(&metric) {
                Some(&place) => {
                    let (_, known_first, known) = &mut readings[place];
                    *known_first = (*known_first).min(first_heard);
                    if reading.event_us >= known.event_us {
                        *known = reading;
                    }
                }
                None => {
                    places.insert(metric.clone(), readings.len());
                    readings.push((metric, first_heard, reading));
                }
            }
        }
        readings.sort_by_key(|(_, first_heard, _)| *first_heard);
        readings.into_iter().map(|(metric, _, reading)| (metric, reading)).collect()
    }

    /// The sets of metrics that its payloads hold; `None` where some of the values come from others.
    pub fn signatures(&self) -> Option<impl Iterator<Item = u64>> {
        self.samples.is_empty().then(|| self.reports.iter().map(|report| report.signature))
    }
}
