//! The pending observation of one device.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::samples::{FirstSeen, LatestPayload, Reading, Sample, insert_newest};
use crate::message::device::Device;
use crate::message::msg_type::MsgType;
use crate::message::observed_time::observed_us;
use crate::state::continuity::{Heard, Message};
use crate::validate::event::Event;

/// Most payloads of one device. Where a device sends ever other metrics, its oldest payloads are parsed early.
pub(super) const MAX_PAYLOADS: usize = 4;
/// Most values of such a device beyond its payloads; many times any sensor limit.
pub(super) const MAX_SAMPLES: usize = 256;
/// How many of those are the metrics that were seen first, which are the first to get a sensor; the others are the newest.
const MAX_FIRST_SAMPLES: usize = MAX_SAMPLES / 2;

/// The pending observation of one device.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The device, as the newest message found it in the registry.
    pub device: Arc<Device>,
    /// Last seen: the broker's time of its latest message, Unix microseconds. Not the device's time: with a wrong clock it
    /// would seem alive for ever.
    pub seen_us: i64,
    /// The same for heartbeats.
    pub heartbeat_us: Option<i64>,
    /// The same for telemetry.
    pub telemetry_us: Option<i64>,
    /// Its latest position, by the event's time ([`observed_us`]).
    pub location: Option<Location>,
    /// Number of events.
    pub events: u64,
    /// Their numbers, and when they came.
    pub heard: Heard,
    /// The newest payload per set of metrics; heartbeats have none.
    pub(super) payloads: Vec<LatestPayload>,
    /// Values out of payloads that are no longer retained, by metric.
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
    /// The observation that one event makes.
    pub(super) fn of(received_us: i64, is_new: bool, event: Event) -> Self {
        let mut observation = Self {
            device: event.device.clone(),
            seen_us: received_us,
            heartbeat_us: None,
            telemetry_us: None,
            location: None,
            events: 0,
            heard: Heard::default(),
            payloads: Vec::new(),
            samples: BTreeMap::new(),
        };
        observation.add(received_us, is_new, event);
        observation
    }

    /// Adds an event; of equal times the later one wins. This is what every message costs: as a rule no memory.
    pub(super) fn add(&mut self, received_us: i64, is_new: bool, event: Event) {
        let Event { device, msg_type, seq, event_us, payload, location, metrics_signature, .. } = event;
        let event_us = observed_us(event_us, received_us);
        let is_heartbeat = msg_type == MsgType::Heartbeat;
        self.seen(device, received_us);
        if is_heartbeat {
            self.heartbeat_us = self.heartbeat_us.max(Some(received_us));
        }
        if msg_type == MsgType::Telemetry {
            self.telemetry_us = self.telemetry_us.max(Some(received_us));
        }
        self.located(location.map(|(latitude, longitude)| Location { event_us, latitude, longitude }));
        self.events += 1;
        self.heard.add(Message { seq, received_us, is_new, is_reading: !is_heartbeat });
        // Any type but a heartbeat carries measurements.
        if !is_heartbeat {
            self.add_payload(LatestPayload {
                signature: metrics_signature,
                first_seen_us: received_us,
                event_us,
                payload,
            });
            self.bound();
        }
    }

    /// Adds a later observation; of equal times the later one wins.
    pub fn merge(&mut self, later: Observation) {
        self.seen(later.device, later.seen_us);
        self.heartbeat_us = self.heartbeat_us.max(later.heartbeat_us);
        self.telemetry_us = self.telemetry_us.max(later.telemetry_us);
        self.located(later.location);
        self.events += later.events;
        self.heard.merge(later.heard);
        for (metric, sample) in later.samples {
            insert_newest(&mut self.samples, metric, sample);
        }
        later.payloads.into_iter().for_each(|payload| self.add_payload(payload));
        self.bound();
    }

    fn seen(&mut self, device: Arc<Device>, seen_us: i64) {
        if seen_us >= self.seen_us {
            (self.device, self.seen_us) = (device, seen_us);
        }
    }

    fn located(&mut self, later: Option<Location>) {
        let located_us = |location: Option<Location>| location.map(|location| location.event_us);
        if located_us(later) >= located_us(self.location) {
            self.location = later;
        }
    }

    fn add_payload(&mut self, payload: LatestPayload) {
        match self.payloads.iter_mut().find(|known| known.signature == payload.signature) {
            Some(known) => known.merge(payload),
            None => self.payloads.push(payload),
        }
    }

    /// Keeps what is retained within its bounds.
    fn bound(&mut self) {
        while self.payloads.len() > MAX_PAYLOADS {
            self.parse_oldest_early();
        }
        while self.samples.len() > MAX_SAMPLES {
            self.evict_oldest_sample();
        }
    }

    /// Moves the values of the oldest payload into the samples.
    fn parse_oldest_early(&mut self) {
        let oldest = self.payloads.iter().enumerate().min_by_key(|(_, report)| report.event_us);
        let Some((index, _)) = oldest else { return };
        let report = self.payloads.remove(index);
        for (metric, first_seen, Reading { event_us, json }) in report.readings() {
            insert_newest(
                &mut self.samples,
                metric.into_owned(),
                Sample { first_seen, event_us, json: json.to_owned() },
            );
        }
    }

    /// Evicts the oldest value of a metric that is not among the first.
    fn evict_oldest_sample(&mut self) {
        let mut seen: Vec<FirstSeen> = self.samples.values().map(|sample| sample.first_seen).collect();
        if seen.len() <= MAX_FIRST_SAMPLES {
            return;
        }
        let (_, &mut first_of_the_rest, _) = seen.select_nth_unstable(MAX_FIRST_SAMPLES);
        let rest = self.samples.iter().filter(|(_, sample)| sample.first_seen >= first_of_the_rest);
        let oldest = rest.min_by_key(|(_, sample)| sample.event_us).map(|(metric, _)| metric.clone());
        if let Some(metric) = oldest {
            self.samples.remove(&metric);
        }
    }

    /// The newest value of every metric, in the order in which the metrics were first seen.
    pub fn readings(&self) -> Vec<(Cow<'_, str>, Reading<'_>)> {
        let reported = self.payloads.iter().flat_map(LatestPayload::readings);
        let sampled = self.samples.iter().map(|(metric, sample)| {
            let reading = Reading { event_us: sample.event_us, json: &sample.json };
            (Cow::Borrowed(metric.as_str()), sample.first_seen, reading)
        });
        let mut readings: Vec<(Cow<'_, str>, FirstSeen, Reading<'_>)> = Vec::new();
        let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
        for (metric, first_seen, reading) in reported.chain(sampled) {
            match places.get(&metric) {
                Some(&place) => {
                    let (_, known_first, known) = &mut readings[place];
                    *known_first = (*known_first).min(first_seen);
                    if reading.event_us >= known.event_us {
                        *known = reading;
                    }
                }
                None => {
                    places.insert(metric.clone(), readings.len());
                    readings.push((metric, first_seen, reading));
                }
            }
        }
        readings.sort_by_key(|(_, first_seen, _)| *first_seen);
        readings.into_iter().map(|(metric, _, reading)| (metric, reading)).collect()
    }

    /// The sets of metrics that its payloads hold; `None` where some of the values come from others.
    pub fn signatures(&self) -> Option<impl Iterator<Item = u64>> {
        self.samples.is_empty().then(|| self.payloads.iter().map(|report| report.signature))
    }
}
