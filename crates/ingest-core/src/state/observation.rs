//! What the derived state has to know of each device: the newest of everything, and which metric was heard first, whatever
//! the order of arrival.
//!
//! A message costs a look-up and a comparison here, no parsing: most devices always send the same metrics, so of all
//! messages with the same names only the newest payload is kept, and read once when it is flushed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytestring::ByteString;

use crate::message::device::{Device, DeviceKey};
use crate::message::metric::{self, Metric};
use crate::message::msg_type::MsgType;
use crate::message::observed_time::observed_us;
use crate::validate::event::Event;

/// Most payloads kept of one device. One that sends ever other metrics has its oldest ones read early.
const MAX_REPORTS: usize = 4;
/// Most values kept of such a device beyond its payloads; many times what any sensor limit lets in.
const MAX_SAMPLES: usize = 256;
/// How many of those are the metrics that were heard first, which have the first claim to a sensor; the rest are the newest.
const MAX_FIRST_SAMPLES: usize = MAX_SAMPLES / 2;

/// The devices that were heard of since the last flush.
#[derive(Debug)]
pub struct Observations {
    devices: HashMap<DeviceKey, Observation>,
    max_devices: usize,
}

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
    reports: Vec<Report>,
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

/// The newest value of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// When, Unix microseconds.
    pub event_us: i64,
    /// Its JSON text.
    pub json: &'a str,
}

/// When a metric was first heard: the broker's time of the message, and the metric's place in it.
type FirstHeard = (i64, usize);

#[derive(Clone, Debug)]
struct Report {
    signature: u64,
    /// The broker's time of the first message with these metrics.
    first_heard_us: i64,
    event_us: i64,
    payload: ByteString,
}

#[derive(Clone, Debug)]
struct Sample {
    first_heard: FirstHeard,
    event_us: i64,
    json: String,
}

impl Observations {
    /// Nothing heard yet. Beyond `max_devices` the longest silent are forgotten.
    pub fn new(max_devices: usize) -> Self {
        Self { devices: HashMap::new(), max_devices }
    }

    /// Takes an event in; `received_us` is the broker's time of its message.
    pub fn observe(&mut self, received_us: i64, event: Event) {
        let newer = Observation::of(received_us, event);
        match self.devices.get_mut(&newer.device.key) {
            Some(older) => older.merge(newer),
            None => drop(self.devices.insert(newer.device.key.clone(), newer)),
        }
    }

    /// Takes back what could not be flushed; what has been heard since then is newer.
    pub fn put_back(&mut self, mut older: Observation) {
        let key = older.device.key.clone();
        if let Some(newer) = self.devices.remove(&key) {
            older.merge(newer);
        }
        self.devices.insert(key, older);
    }

    /// Forgets the longest silent devices where there are too many, some at once; how many events that were.
    pub fn shed(&mut self) -> u64 {
        if self.devices.len() <= self.max_devices {
            return 0;
        }
        let excess = (self.devices.len() - self.max_devices * 9 / 10).max(1);
        let mut seen: Vec<i64> = self.devices.values().map(|observation| observation.seen_us).collect();
        let (_, &mut youngest_to_go, _) = seen.select_nth_unstable(excess - 1);
        let mut shed = 0;
        self.devices.retain(|_, observation| {
            let stays = observation.seen_us > youngest_to_go;
            shed += if stays { 0 } else { observation.events };
            stays
        });
        shed
    }

    /// Takes everything out, in the order of tenants and devices.
    pub fn take(&mut self) -> Vec<Observation> {
        let mut all: Vec<Observation> = self.devices.drain().map(|(_, observation)| observation).collect();
        all.sort_unstable_by(|a, b| a.device.key.cmp(&b.device.key));
        all
    }

    /// How many devices were heard of.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl Observation {
    fn of(received_us: i64, event: Event) -> Self {
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

impl Report {
    /// Adds a later report of the same metrics in the same order.
    fn merge(&mut self, later: Report) {
        let first_heard_us = self.first_heard_us.min(later.first_heard_us);
        if later.event_us >= self.event_us {
            *self = later;
        }
        self.first_heard_us = first_heard_us;
    }

    /// The payload's metrics in their order, equal names included.
    fn readings(&self) -> Vec<(Cow<'_, str>, FirstHeard, Reading<'_>)> {
        let members = metric::read(&self.payload).unwrap_or_default();
        let metrics = members.iter().rev().find(|member| member.key == "metrics").map(|member| member.raw);
        let metrics = metrics.and_then(metric::read).unwrap_or_default().into_iter();
        let reading = |(place, Metric { key, raw })| {
            (key, (self.first_heard_us, place), Reading { event_us: self.event_us, json: raw })
        };
        metrics.enumerate().map(reading).collect()
    }
}

fn keep_newest(samples: &mut BTreeMap<String, Sample>, metric: String, sample: Sample) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::device::Subscription;
    use crate::message::payload::Report as Payload;

    fn device(id: &str, sensor_limit: u32) -> Arc<Device> {
        Arc::new(Device {
            key: DeviceKey::new("acme", id),
            site_id: "site-1".into(),
            active: true,
            subscription: Subscription::Passes,
            token_hash: None,
            certificates: Vec::new(),
            metric_keys: Default::default(),
            location_is_auto: true,
            sensor_limit,
        })
    }

    fn event(id: &str, msg_type: MsgType, event_us: i64, metrics: &str) -> Event {
        let payload = format!(r#"{{"metrics":{metrics}}}"#);
        // Any number that is the same for the same names in the same order.
        let names =
            Payload::read(&payload).unwrap().metrics.iter().map(|metric| metric.key.to_string()).collect::<Vec<_>>();
        let metrics_signature =
            names.join(",").bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
        Event {
            device: device(id, 20),
            topic: "t".into(),
            msg_type,
            seq: 0,
            event_us,
            payload: payload.into(),
            line: None,
            location: None,
            metrics_signature,
            routes: None,
        }
    }

    fn telemetry(event_us: i64, metrics: &str) -> Event {
        event("d1", MsgType::Telemetry, event_us, metrics)
    }

    fn all() -> Observations {
        Observations::new(1_000)
    }

    fn only(mut observations: Observations) -> Observation {
        let mut taken = observations.take();
        assert_eq!(taken.len(), 1);
        taken.remove(0)
    }

    fn values(observation: &Observation) -> Vec<(String, i64, String)> {
        let mut values: Vec<_> = observation
            .readings()
            .into_iter()
            .map(|(metric, reading)| (metric.into_owned(), reading.event_us, reading.json.to_owned()))
            .collect();
        values.sort();
        values
    }

    fn order(observation: &Observation) -> Vec<String> {
        observation.readings().into_iter().map(|(metric, _)| metric.into_owned()).collect()
    }

    fn value(metric: &str, event_us: i64, json: &str) -> (String, i64, String) {
        (metric.to_owned(), event_us, json.to_owned())
    }

    #[test]
    fn the_newest_event_wins_whatever_the_order_of_arrival() {
        for order in [[10, 20], [20, 10]] {
            let mut seen = all();
            for event_us in order {
                seen.observe(1, telemetry(event_us, &format!(r#"{{"a":{event_us},"b":true}}"#)));
            }
            assert_eq!(values(&only(seen)), [value("a", 20, "20"), value("b", 20, "true")]);
        }
    }

    #[test]
    fn each_metric_is_as_new_as_the_newest_message_that_holds_it() {
        let mut seen = all();
        seen.observe(1, telemetry(10, r#"{"a":1,"b":1}"#));
        seen.observe(1, telemetry(30, r#"{"a":3}"#));
        seen.observe(1, telemetry(20, r#"{"b":2,"c":2,"c":2.5}"#));
        assert_eq!(values(&only(seen)), [value("a", 30, "3"), value("b", 20, "2"), value("c", 20, "2.5")]);
    }

    #[test]
    fn metrics_come_in_the_order_in_which_they_were_first_heard() {
        let mut seen = all();
        // By the broker's times: neither those of the events nor the order of arrival decide.
        seen.observe(3, telemetry(10, r#"{"z":1,"a":1,"m":1}"#));
        seen.observe(2, telemetry(30, r#"{"x":1,"a":1}"#));
        seen.observe(1, telemetry(20, r#"{"z":1,"a":1,"m":1}"#));
        assert_eq!(order(&only(seen)), ["z", "a", "m", "x"]);
    }

    #[test]
    fn a_metric_keeps_its_place_when_its_payload_is_read_early() {
        let mut seen = all();
        for (received_us, metrics) in
            [r#"{"e":1}"#, r#"{"d":1}"#, r#"{"c":1}"#, r#"{"b":1}"#, r#"{"a":1}"#, r#"{"e":1,"f":1}"#]
                .iter()
                .enumerate()
        {
            seen.observe(received_us as i64, telemetry(received_us as i64, metrics));
        }
        assert_eq!(order(&only(seen)), ["e", "d", "c", "b", "a", "f"]);
    }

    #[test]
    fn a_time_far_ahead_counts_as_the_brokers() {
        let mut seen = all();
        let ahead = Event { location: Some((1.0, 0.0)), ..telemetry(i64::MAX, r#"{"a":1}"#) };
        seen.observe(1_000, ahead);
        seen.observe(2_000, Event { location: Some((2.0, 0.0)), ..telemetry(2_000, r#"{"a":2}"#) });
        let observation = only(seen);
        assert_eq!(values(&observation), [value("a", 2_000, "2")]);
        assert_eq!(observation.location, Some(Location { event_us: 2_000, latitude: 2.0, longitude: 0.0 }));
    }

    #[test]
    fn every_message_is_a_sign_of_life_and_only_a_heartbeat_measures_nothing() {
        let mut seen = all();
        seen.observe(100, event("d1", MsgType::Heartbeat, 5, r#"{"h":1}"#));
        seen.observe(300, event("d1", MsgType::Other("alert".into()), 5, r#"{"a":1}"#));
        let observation = only(seen);
        assert_eq!((observation.seen_us, observation.heartbeat_us, observation.telemetry_us), (300, Some(100), None));
        assert_eq!((observation.events, values(&observation)), (2, vec![value("a", 5, "1")]));
    }

    #[test]
    fn the_newest_position_wins() {
        let mut seen = all();
        for (event_us, latitude) in [(10, 1.0), (30, 3.0), (20, 2.0)] {
            seen.observe(1, Event { location: Some((latitude, 0.0)), ..telemetry(event_us, "{}") });
        }
        seen.observe(1, telemetry(40, "{}"));
        assert_eq!(only(seen).location, Some(Location { event_us: 30, latitude: 3.0, longitude: 0.0 }));
    }

    #[test]
    fn the_registrys_latest_word_on_the_device_counts() {
        let mut seen = all();
        seen.observe(2, Event { device: device("d1", 30), ..telemetry(1, "{}") });
        seen.observe(1, Event { device: device("d1", 10), ..telemetry(9, "{}") });
        assert_eq!(only(seen).device.sensor_limit, 30);
    }

    #[test]
    fn a_device_that_sends_ever_other_metrics_stays_small_and_keeps_its_newest_values() {
        let mut seen = all();
        for number in 0..2_000_i64 {
            seen.observe(number, telemetry(number, &format!(r#"{{"m{number}":{number},"common":{number}}}"#)));
        }
        let observation = only(seen);
        assert!(observation.signatures().is_none());
        assert_eq!(observation.reports.len(), MAX_REPORTS);
        let values = values(&observation);
        assert!(values.len() <= MAX_SAMPLES + 2 * MAX_REPORTS, "{}", values.len());
        assert!(values.contains(&value("common", 1_999, "1999")) && values.contains(&value("m1999", 1_999, "1999")));
        assert!(values.contains(&value("m1900", 1_900, "1900")) && !values.contains(&value("m1500", 1_500, "1500")));
        // Those that were heard first have the first claim to a sensor.
        assert_eq!(order(&observation)[..4], ["m0", "common", "m1", "m2"]);
    }

    #[test]
    fn the_longest_silent_devices_are_forgotten_first() {
        let mut seen = Observations::new(10);
        for number in 0..11 {
            let id = format!("d{number:02}");
            seen.observe(number, event(&id, MsgType::Heartbeat, 0, "{}"));
            seen.observe(number, event(&id, MsgType::Heartbeat, 0, "{}"));
            assert_eq!(seen.shed(), if number < 10 { 0 } else { 4 });
        }
        let left = seen.take();
        let left: Vec<_> = left.iter().map(|observation| &*observation.device.key.device_id).collect();
        assert_eq!(left, ["d02", "d03", "d04", "d05", "d06", "d07", "d08", "d09", "d10"]);
    }

    prop_compose! {
        /// Events of distinct times, each with some of a few metrics.
        fn events()(sets in prop::collection::vec(prop::collection::btree_set(0..6_u8, 0..4), 1..12)) -> Vec<(i64, Event)> {
            sets.iter().enumerate().map(|(time, metrics)| {
                let time = time as i64;
                let members: Vec<_> = metrics.iter().map(|metric| format!(r#""m{metric}":{time}"#)).collect();
                let mut event = telemetry(time, &format!("{{{}}}", members.join(",")));
                event.location = metrics.contains(&0).then_some((time as f64, 0.0));
                (time, event)
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn neither_order_nor_a_failed_flush_changes_what_is_known(
            (in_order, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
            flush_failed_after in 0..12_usize,
        ) {
            let mut expected = all();
            in_order.into_iter().for_each(|(received_us, event)| expected.observe(received_us, event));
            let expected = only(expected);

            let mut seen = all();
            let mut failed = Vec::new();
            for (number, (received_us, event)) in shuffled.into_iter().enumerate() {
                if number == flush_failed_after {
                    failed = seen.take();
                }
                seen.observe(received_us, event);
            }
            failed.into_iter().for_each(|observation| seen.put_back(observation));
            let found = only(seen);

            prop_assert_eq!(values(&found), values(&expected));
            prop_assert_eq!(order(&found), order(&expected));
            prop_assert_eq!(
                (found.seen_us, found.telemetry_us, found.location, found.events),
                (expected.seen_us, expected.telemetry_us, expected.location, expected.events)
            );
        }
    }
}
