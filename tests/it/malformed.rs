//! Malformed messages, generated at random: noise, oversized messages, and good messages with defects.

use std::fmt::Write;
use std::time::Duration;

use fastrand::Rng;
use ingest_kit::envelope::{device, payload, timestamp};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device, Subscription};
use ingest_kit::{NodeBuilder, wait_for};
use serde_json::Value;

use crate::ledger::InvariantChecker;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Messages of one run. Failures name the seed, and every run of a seed is the same.
const MESSAGES: usize = 2_000;

/// One in so many is oversized: these are slow to publish and to read.
const MONSTERS: usize = 40;

/// The broker's limit.
const MOST: usize = 1024 * 1024;

/// Every kind of JSON value, in forms that have broken parsers.
const SOUND: [&str; 31] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "24.0",
    "2.4e1",
    "1e308",
    "1e309",
    "-1e400",
    "1e-400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890.5",
    "\"\"",
    "\"x\"",
    "\"1\"",
    "\"2026-11-21T00:00:00Z\"",
    "\"tenant-0\"",
    "\"site-1\"",
    "\"\\\\\"",
    "\"a\\nb\\tc\"",
    "\"\u{feff}\"",
    "\"\u{202e}\u{1f4a9}\"",
    "[]",
    "{}",
    "[[]]",
    "{\"a\":1,\"a\":2,\"\":{}}",
];

/// What looks like JSON and is none, or is text that no database can hold.
const UNSOUND: [&str; 9] = [
    "NaN",
    "Infinity",
    "01",
    "'x'",
    "undefined",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\"",
    "{\"a\\u0000\":1}",
];

/// Members that the node reads, and some that it does not.
const MEMBERS: [&str; 16] = [
    "version",
    "ts",
    "tenant_id",
    "site_id",
    "device_id",
    "msg_type",
    "seq",
    "provision_token",
    "metrics",
    "lat",
    "latitude",
    "lng",
    "longitude",
    "status",
    "state",
    "",
];

/// Metric names with a meaning of their own somewhere.
const KEYS: [&str; 15] = [
    "time",
    "seq",
    "device_id",
    "site_id",
    "t",
    "temp_c",
    "a.b",
    "",
    " ",
    "a=b,c d",
    "back\\\\slash\\\\",
    "line\\nfeed",
    "quo\\\"te",
    "\u{1f4a9}",
    "pct%0A",
];

/// Generates messages from a seed.
struct Rubbish {
    random: Rng,
    devices: Vec<Device>,
}

impl Rubbish {
    fn message(&mut self, number: usize) -> Outgoing {
        let lane = ["telemetry", "telemetry", "telemetry", "shadow", "commands"][self.random.usize(..5)];
        let body = if number.is_multiple_of(MONSTERS) {
            self.monster(number / MONSTERS)
        } else {
            self.body(lane, number as u64)
        };
        assert!(body.len() <= MOST, "the broker would not take it");
        let of_other_tenant = body.windows(16).any(|window| window == b"tenant/tenant-1/");
        let subject = match self.random.u8(..12) {
            0 => format!("{lane}.a.b.{}", "c".repeat(self.random.usize(1..50))),
            _ => format!("{lane}.tenant-{}", u8::from(of_other_tenant)),
        };
        self.with_headers(Outgoing::new(subject, body))
    }

    /// Adds random headers, which must not matter.
    fn with_headers(&mut self, message: Outgoing) -> Outgoing {
        if message.payload.len() > MOST / 2 {
            return message; // No bytes left for headers.
        }
        match self.random.u8(..10) {
            0 => (0..100).fold(message, |message, n| message.header(&format!("X-{n}"), &"h".repeat(100))),
            1 => message.header("Status", "503").header("Description", "No Messages"),
            2 => message.header("Nats-Pending-Messages", "x").header("Content-Encoding", "gzip"),
            _ => message,
        }
    }

    fn body(&mut self, lane: &str, number: u64) -> Vec<u8> {
        match self.random.u8(..12) {
            0 => self.noise(2_000),
            1 => self.value().as_bytes().to_vec(),
            2 => self.envelope_of_any_kind().into_bytes(),
            3 | 4 => {
                let good = self.good(lane, number);
                self.damaged(good)
            }
            _ => self.member_of_any_kind(lane, number).into_bytes(),
        }
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let length = self.random.usize(..most);
        std::iter::repeat_with(|| self.random.u8(..)).take(length).collect()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.usize(..of.len())]
    }

    fn value(&mut self) -> &'static str {
        if self.random.u8(..20) == 0 { self.pick(&UNSOUND) } else { self.pick(&SOUND) }
    }

    fn device(&mut self) -> Device {
        self.devices[self.random.usize(..self.devices.len())].clone()
    }

    fn topic(&mut self, lane: &str) -> String {
        let device = self.device();
        topic_of(&device, lane)
    }

    fn good(&mut self, lane: &str, number: u64) -> Vec<u8> {
        let device = self.device();
        let (payload, topic) = (payload(&device, number), topic_of(&device, lane));
        format!(r#"{{"topic":"{topic}","payload":{payload}}}"#).into_bytes()
    }

    /// Bytes flipped, cut off, doubled or put where they do not belong: mostly no UTF-8 or no JSON any more.
    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.random.usize(1..4) {
            let at = self.random.usize(..bytes.len());
            match self.random.u8(..4) {
                0 => bytes[at] = self.random.u8(..),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, 0xff),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }

    /// An envelope whose members are anything.
    fn envelope_of_any_kind(&mut self) -> String {
        let (topic, payload, further) = (self.value(), self.value(), self.value());
        let good = self.topic("telemetry");
        match self.random.u8(..4) {
            0 => format!(r#"{{"topic":{topic},"payload":{payload}}}"#),
            1 => format!(r#"{{"topic":"{good}","payload":{payload},"username":{further},"payload":{payload}}}"#),
            2 => format!(r#"{{"topic":"{good}","tenant_id":{further},"ts":{topic}}}"#),
            _ => format!(r#" [{{"topic":"{good}"}},{payload}] {further}"#),
        }
    }

    /// A good message with some members replaced by anything, in text or as a string.
    fn member_of_any_kind(&mut self, lane: &str, number: u64) -> String {
        let device = self.device();
        let mut payload = format!(
            r#"{{"site_id":"{}","provision_token":"{}","ts":"{}","seq":{number},"version":{}"#,
            device.site_id,
            device.token.as_deref().unwrap_or_default(),
            timestamp(number),
            if lane == "shadow" { number.to_string() } else { "1".to_owned() },
        );
        for _ in 0..self.random.usize(..3) {
            let (member, value) = (self.pick(&MEMBERS), self.value());
            let _ = write!(payload, r#","{member}":{value}"#);
        }
        if self.random.bool() {
            let metrics: Vec<String> =
                (0..self.random.usize(..55)).map(|_| format!(r#""{}":{}"#, self.pick(&KEYS), self.value())).collect();
            let _ = write!(payload, r#","metrics":{{{}}}"#, metrics.join(","));
        }
        payload.push('}');
        let payload = if self.random.bool() { payload } else { Value::from(payload).to_string() };
        let topic = topic_of(&device, lane);
        let (tenant, id) = (&device.tenant_id, &device.device_id);
        format!(r#"{{"topic":"{topic}","username":"{tenant}/{id}","payload":{payload}}}"#)
    }

    /// Messages as large, as long or as deep as they get.
    fn monster(&mut self, which: usize) -> Vec<u8> {
        const KEY: usize = 200_000;
        const DEPTH: usize = 100_000;
        let long = "k".repeat(KEY);
        let (open, close) = ("[".repeat(DEPTH), "]".repeat(DEPTH));
        let objects = (r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH));
        let topic = self.topic("telemetry");
        let token = self.devices[0].token.clone().unwrap_or_default();
        let of = |payload: &str| format!(r#"{{"topic":"{topic}","payload":{payload}}}"#);
        let of_topic = |topic: &str| {
            format!(
                r#"{{"topic":"{topic}","payload":{{"site_id":"site-1","provision_token":"{token}","metrics":{{"t":1}}}}}}"#
            )
        };
        let text = match which % 18 {
            0 => return (0..MOST).map(|_| self.random.u8(..)).collect(),
            1 => "[".repeat(MOST),
            2 => "\u{1f4a9}".repeat(MOST / 4),
            3 => of(&format!(r#"{{"site_id":"site-1","pad":"{}"}}"#, "x".repeat(MOST - 500))),
            4 => of(&Value::from("\\\"".repeat(MOST / 5)).to_string()),
            5 => of(&format!(r#"{{"site_id":"site-1","metrics":{{"{long}":1}}}}"#)),
            6 => of(&format!(r#"{{"{long}":{{"provision_token":"{token}"}}}}"#)),
            7 => format!(r#"{{"{long}":1,"topic":"{topic}","payload":{{}}}}"#),
            8 => of_topic(&format!("tenant/{long}/device/d/telemetry")),
            9 => of_topic(&format!("tenant/tenant-0/device/{long}/telemetry")),
            10 => of_topic(&format!("tenant/tenant-0/device/dev-0000/{long}")),
            11 => of(&format!(r#"{{"site_id":"{long}","provision_token":"{token}"}}"#)),
            12 => of(&format!("{open}{close}")),
            13 => of(&format!(r#"{{"site_id":"site-1","provision_token":"{token}","metrics":{{"m":{open}{close}}}}}"#)),
            14 => of(&format!("{}1{}", objects.0, objects.1)),
            15 => of(&Value::from(format!("{open}{close}")).to_string()),
            16 => format!("{open}{close}"),
            _ => of(&format!(
                r#"{{"site_id":"site-1","provision_token":"{token}","ts":"{long}","seq":{}}}"#,
                "9".repeat(KEY)
            )),
        };
        text.into_bytes()
    }
}

fn topic_of(device: &Device, lane: &str) -> String {
    let kind = match lane {
        "shadow" => "shadow/reported",
        "commands" => "commands/ack",
        _ => "telemetry",
    };
    format!("tenant/{}/device/{}/{kind}", device.tenant_id, device.device_id)
}

/// Runs malformed messages through a node, with good messages among and after them.
async fn survives(world: &World, node: NodeBuilder, seed: u64) {
    let devices: Vec<Device> = (0..10).map(|number| device(number, 2)).collect();
    seed::devices(&world.database, &devices).await;
    // As large as it gets may pass, too.
    seed::app_settings(&world.database, &[("MAX_PAYLOAD_BYTES", &MOST.to_string())]).await;
    for tenant in ["tenant-0", "tenant-1"] {
        seed::routes(&world.database, &[seed::catch_all_route(tenant)]).await;
    }
    println!("seed {seed}");
    let mut rubbish = Rubbish { random: Rng::with_seed(seed), devices };
    let messages: Vec<Outgoing> = (0..MESSAGES).map(|number| rubbish.message(number)).collect();
    let of_telemetry = messages.iter().filter(|message| message.subject.starts_with("telemetry.")).count() as u64;

    let mut node = start(node).await;
    let checker = InvariantChecker::of(&node);
    world.publish(messages).await;
    for lane in LANES {
        world.wait_settled(lane, Duration::from_secs(90)).await;
    }
    checker.finish().await;

    // No actor has restarted.
    assert!(node.is_running(), "{}", node.log());
    let log = node.log();
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(node.ready_status().await, Some(200));
    // Nothing is lost: every message of the telemetry lane is a row or a counted rejection.
    let rows = world.database.count("raw_events WHERE accepted").await;
    let counted =
        "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute WHERE reason <> 'POINT_REFUSED'";
    let counted = world.database.query(counted, &[]).await[0].get::<_, i64>(0) as u64;
    let rejected: u64 = metrics
        .by_label_of("ingest_rejections_total", &[], "reason")
        .iter()
        .filter(|(reason, _)| *reason != "POINT_REFUSED")
        .map(|(_, count)| count)
        .sum();
    println!(
        "{of_telemetry} of telemetry, {rows} rows, {counted} counted; {:?}",
        metrics.by_label_of("ingest_rejections_total", &[], "reason")
    );
    assert_eq!(counted, rejected, "counted in the database and by the node");
    let applied = metrics.count("ingest_shadow_reports_total", &[]) + metrics.count("ingest_command_acks_total", &[]);
    assert_eq!(rows + applied + counted, MESSAGES as u64, "rows, applied, rejected");
    assert!(rows > 0 && counted > 0, "rubbish of one kind only: {rows} rows, {counted} rejections");
    assert!(rows <= of_telemetry, "{rows} rows of {of_telemetry} messages");
    let retried: u64 = LANES
        .iter()
        .map(|(_, consumer)| metrics.count("ingest_deliveries_received_total", &[("consumer", consumer)]))
        .sum();
    assert_eq!(retried, MESSAGES as u64, "something was delivered twice");
    // Not where it was sent intact, and not where its name was damaged.
    assert!(!log.contains("tok-"), "a token is in the log");

    // And the node still works.
    let after: Vec<Outgoing> =
        rubbish.devices.iter().map(|device| ingest_kit::envelope::telemetry(device, 1_000_000)).collect();
    world.publish(after).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE accepted AND seq = 1000000").await, 10);
    wait_for("every point to be confirmed", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
    })
    .await;
    let counts = world.influx.counts();
    assert_eq!((counts.poison_lines, counts.untimed_lines), (0, 0), "{counts:?}");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_change_nothing_but_the_counters() {
    let world = World::new().await;
    survives(&world, world.node(), 20_261_121).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_with_auto_provisioning_change_nothing_but_the_counters() {
    let world = World::new().await;
    let main = Subscription {
        tenant_id: "tenant-0".to_owned(),
        subscription_type: "MAIN".to_owned(),
        status: "ACTIVE".to_owned(),
        device_limit: 1_000,
        active_device_count: 10,
    };
    seed::subscriptions(&world.database, &[main]).await;
    let node = world.node().env("REQUIRE_TOKEN", 0).env("AUTO_PROVISION", 1).env("CERT_AUTH_ENABLED", 1);
    survives(&world, node, 7).await;
}
