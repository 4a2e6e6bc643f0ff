use std::sync::Arc;

use proptest::prelude::*;

use super::device::{MAX_PAYLOADS, MAX_SAMPLES};
use super::{Location, Observation, Observations};
use crate::message::device::{Device, DeviceKey, Subscription};
use crate::message::msg_type::MsgType;
use crate::message::payload::Report as Payload;
use crate::validate::event::Event;

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
    let metrics_signature = names.join(",").bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
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
            seen.observe(1, true, telemetry(event_us, &format!(r#"{{"a":{event_us},"b":true}}"#)));
        }
        assert_eq!(values(&only(seen)), [value("a", 20, "20"), value("b", 20, "true")]);
    }
}

#[test]
fn each_metric_is_as_new_as_the_newest_message_that_holds_it() {
    let mut seen = all();
    seen.observe(1, true, telemetry(10, r#"{"a":1,"b":1}"#));
    seen.observe(1, true, telemetry(30, r#"{"a":3}"#));
    seen.observe(1, true, telemetry(20, r#"{"b":2,"c":2,"c":2.5}"#));
    assert_eq!(values(&only(seen)), [value("a", 30, "3"), value("b", 20, "2"), value("c", 20, "2.5")]);
}

#[test]
fn metrics_come_in_the_order_in_which_they_were_first_seen() {
    let mut seen = all();
    // By the broker's times: neither those of the events nor the order of arrival decide.
    seen.observe(3, true, telemetry(10, r#"{"z":1,"a":1,"m":1}"#));
    seen.observe(2, true, telemetry(30, r#"{"x":1,"a":1}"#));
    seen.observe(1, true, telemetry(20, r#"{"z":1,"a":1,"m":1}"#));
    assert_eq!(order(&only(seen)), ["z", "a", "m", "x"]);
}

#[test]
fn a_metric_keeps_its_place_when_its_payload_is_parsed_early() {
    let mut seen = all();
    for (received_us, metrics) in
        [r#"{"e":1}"#, r#"{"d":1}"#, r#"{"c":1}"#, r#"{"b":1}"#, r#"{"a":1}"#, r#"{"e":1,"f":1}"#].iter().enumerate()
    {
        seen.observe(received_us as i64, true, telemetry(received_us as i64, metrics));
    }
    assert_eq!(order(&only(seen)), ["e", "d", "c", "b", "a", "f"]);
}

#[test]
fn a_time_far_ahead_counts_as_the_brokers() {
    let mut seen = all();
    let ahead = Event { location: Some((1.0, 0.0)), ..telemetry(i64::MAX, r#"{"a":1}"#) };
    seen.observe(1_000, true, ahead);
    seen.observe(2_000, true, Event { location: Some((2.0, 0.0)), ..telemetry(2_000, r#"{"a":2}"#) });
    let observation = only(seen);
    assert_eq!(values(&observation), [value("a", 2_000, "2")]);
    assert_eq!(observation.location, Some(Location { event_us: 2_000, latitude: 2.0, longitude: 0.0 }));
}

#[test]
fn every_message_updates_last_seen_and_only_a_heartbeat_measures_nothing() {
    let mut seen = all();
    seen.observe(100, true, event("d1", MsgType::Heartbeat, 5, r#"{"h":1}"#));
    seen.observe(300, true, event("d1", MsgType::Other("alert".into()), 5, r#"{"a":1}"#));
    let observation = only(seen);
    assert_eq!((observation.seen_us, observation.heartbeat_us, observation.telemetry_us), (300, Some(100), None));
    assert_eq!((observation.events, values(&observation)), (2, vec![value("a", 5, "1")]));
}

#[test]
fn the_newest_position_wins() {
    let mut seen = all();
    for (event_us, latitude) in [(10, 1.0), (30, 3.0), (20, 2.0)] {
        seen.observe(1, true, Event { location: Some((latitude, 0.0)), ..telemetry(event_us, "{}") });
    }
    seen.observe(1, true, telemetry(40, "{}"));
    assert_eq!(only(seen).location, Some(Location { event_us: 30, latitude: 3.0, longitude: 0.0 }));
}

#[test]
fn the_latest_look_up_of_the_device_counts() {
    let mut seen = all();
    seen.observe(2, true, Event { device: device("d1", 30), ..telemetry(1, "{}") });
    seen.observe(1, true, Event { device: device("d1", 10), ..telemetry(9, "{}") });
    assert_eq!(only(seen).device.sensor_limit, 30);
}

#[test]
fn a_device_that_sends_ever_other_metrics_stays_small_and_keeps_its_newest_values() {
    let mut seen = all();
    for number in 0..2_000_i64 {
        seen.observe(number, true, telemetry(number, &format!(r#"{{"m{number}":{number},"common":{number}}}"#)));
    }
    let observation = only(seen);
    assert!(observation.signatures().is_none());
    assert_eq!(observation.payloads.len(), MAX_PAYLOADS);
    let values = values(&observation);
    assert!(values.len() <= MAX_SAMPLES + 2 * MAX_PAYLOADS, "{}", values.len());
    assert!(values.contains(&value("common", 1_999, "1999")) && values.contains(&value("m1999", 1_999, "1999")));
    assert!(values.contains(&value("m1900", 1_900, "1900")) && !values.contains(&value("m1500", 1_500, "1500")));
    // Those that were seen first are the first to get a sensor.
    assert_eq!(order(&observation)[..4], ["m0", "common", "m1", "m2"]);
}

#[test]
fn the_devices_that_were_silent_longest_are_evicted_first() {
    let mut seen = Observations::new(10);
    for number in 0..11 {
        let id = format!("d{number:02}");
        seen.observe(number, true, event(&id, MsgType::Heartbeat, 0, "{}"));
        seen.observe(number, true, event(&id, MsgType::Heartbeat, 0, "{}"));
        assert_eq!(seen.evict(), if number < 10 { 0 } else { 4 });
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
        in_order.into_iter().for_each(|(received_us, event)| expected.observe(received_us, true, event));
        let expected = only(expected);

        let mut seen = all();
        let mut failed = Vec::new();
        for (number, (received_us, event)) in shuffled.into_iter().enumerate() {
            if number == flush_failed_after {
                failed = seen.take();
            }
            seen.observe(received_us, true, event);
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
