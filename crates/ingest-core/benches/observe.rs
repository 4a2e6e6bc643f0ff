//! Cost of the derived state without I/O: what each message adds to what is heard of its device, and what each device that was
//! heard costs with a flush, before anything is sent to PostgreSQL.
//!
//! `cargo bench -p ingest-core --bench observe`. Prints nanoseconds, the least of several rounds.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest_core::message::device::{Device, DeviceKey, Subscription};
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::message::msg_type::MsgType;
use ingest_core::state::continuity::{Continuity, Limits, Rules};
use ingest_core::state::observation::{Observation, Observations};
use ingest_core::validate::event::Event;

const MESSAGES: usize = 200_000;
const ROUNDS: u32 = 7;
const S: i64 = 1_000_000;
const RULES: Rules =
    Rules { limits: Limits { factor: 5, least_us: 60 * S, most_us: 86_400 * S }, missing_after_us: 60 * S };

fn main() {
    for devices in [1_000, 20_000, 100_000] {
        for numbered in [false, true] {
            let (mut message, mut device) = (Duration::MAX, Duration::MAX);
            let fleet: Vec<Arc<Device>> = (0..devices).map(fleet_device).collect();
            let mut on_record = vec![Continuity::default(); devices];
            for round in 0..ROUNDS {
                let mut heard = Observations::new(devices);
                message = message.min(observe(&mut heard, &fleet, round, numbered));
                let taken = heard.take();
                device = device.min(hear(&taken, &mut on_record, round));
            }
            let of = if numbered { "with numbers" } else { "without" };
            println!(
                "{devices} devices {of}: {:.0} ns per message, {:.0} ns per device and flush",
                message.as_nanos() as f64 / MESSAGES as f64,
                device.as_nanos() as f64 / devices as f64
            );
        }
    }
}

/// Messages of all devices in turn.
fn observe(heard: &mut Observations, fleet: &[Arc<Device>], round: u32, numbered: bool) -> Duration {
    let events: Vec<Event> = (0..MESSAGES).map(|number| event(fleet, number, round, numbered)).collect();
    let start = Instant::now();
    for (number, event) in events.into_iter().enumerate() {
        heard.observe(black_box(number as i64), true, event);
    }
    start.elapsed()
}

/// What was heard is added to what is on record.
fn hear(heard: &[Observation], on_record: &mut [Continuity], round: u32) -> Duration {
    let start = Instant::now();
    for (observation, device) in heard.iter().zip(on_record) {
        black_box(device.hear(&observation.heard, i64::from(round) * 3 * S, &RULES));
    }
    start.elapsed()
}

fn event(fleet: &[Arc<Device>], number: usize, round: u32, numbered: bool) -> Event {
    let of_device = number / fleet.len() + round as usize * MESSAGES.div_ceil(fleet.len());
    Event {
        device: fleet[number % fleet.len()].clone(),
        topic: "t".into(),
        msg_type: MsgType::Telemetry,
        seq: if numbered { of_device as i64 + 1 } else { 0 },
        event_us: number as i64,
        payload: r#"{"metrics":{"a":1}}"#.into(),
        line: None,
        location: None,
        metrics_signature: 7,
        routes: None,
    }
}

fn fleet_device(number: usize) -> Arc<Device> {
    Arc::new(Device {
        key: DeviceKey::new("acme", &format!("dev-{number:06}")),
        site_id: "site-1".to_owned(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit: 20,
    })
}
