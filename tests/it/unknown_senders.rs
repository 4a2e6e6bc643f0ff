//! Messages of untrusted senders in every shape: the good messages around them are stored.
//!
//! On the platform's full schema, with indexes, checks, keys and triggers of its own on the node's tables as well.

use std::time::{Duration, Instant};

use fastrand::Rng;
use ingest_kit::envelope::{device, telemetry, token};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Node, NodeBuilder, wait_for};

use crate::world::{DEADLINE, LANES, World, start};

/// What the broker takes, headers included.
const MOST: usize = 1024 * 1024 - 4096;

/// Good messages of a round.
const GOOD: usize = 1_000;

/// Messages that a round brings among them.
const SHAPES: usize = 64;

/// What an operator may have put on the tables of the node.
const PLATFORM: &str = "
    CREATE INDEX ON raw_events (tenant_id, device_id, received_at);
    CREATE INDEX ON raw_events ((payload ->> 'note'));
    CREATE INDEX ON raw_events USING gin (payload jsonb_path_ops);
    CREATE UNIQUE INDEX theirs ON raw_events (device_id, seq, event_ts, received_at);
    ALTER TABLE raw_events ADD CONSTRAINT not_thirteen CHECK (seq <> 13);
    ALTER TABLE raw_events ADD CONSTRAINT not_before_1970 CHECK (event_ts >= '1970-01-01');
    CREATE FUNCTION checker() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.msg_type = 'forbidden' THEN RAISE EXCEPTION 'forbidden'; END IF;
        IF NEW.seq = 14 THEN RAISE EXCEPTION 'fourteen' USING ERRCODE = '23514'; END IF;
        IF NEW.seq = 15 THEN RAISE EXCEPTION 'fifteen' USING ERRCODE = '23505'; END IF;
        IF NEW.seq = 16 THEN RAISE EXCEPTION 'sixteen' USING ERRCODE = '53400'; END IF;
        IF NEW.seq = 17 THEN RAISE EXCEPTION 'seventeen' USING ERRCODE = 'ABC12'; END IF;
        IF NEW.seq = 18 THEN PERFORM 1 / 0; END IF;
        IF NEW.seq = 19 THEN PERFORM nobody_knows(NEW.seq); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER checker BEFORE INSERT ON raw_events FOR EACH ROW EXECUTE FUNCTION checker();
    CREATE INDEX ON quarantine_events (topic);
    CREATE INDEX ON quarantine_events (device_id);
    CREATE INDEX ON quarantine_events (site_id);
    CREATE FUNCTION checker_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.reason = 'INVALID_PAYLOAD' THEN RAISE EXCEPTION 'not here'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER checker BEFORE INSERT ON quarantine_events FOR EACH ROW EXECUTE FUNCTION checker_quarantine();
    CREATE FUNCTION checker_state() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.reported_version = 13 THEN RAISE EXCEPTION 'not thirteen'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER checker BEFORE INSERT OR UPDATE ON device_state FOR EACH ROW EXECUTE FUNCTION checker_state();
    CREATE INDEX ON device_state USING gin (reported_state);
";

/// Generates what an untrusted sender may send, from a seed.
struct UntrustedSender {
    random: Rng,
    /// One registered device with its token, whose messages pass validation.
    device: Device,
}

impl UntrustedSender {
    fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), device: device(1, 2) }
    }

    fn noise(&mut self, length: usize) -> String {
        std::iter::repeat_with(|| self.random.alphanumeric()).take(length).collect()
    }

    fn long(&mut self) -> String {
        let length = self.random.usize(2_700..9_000);
        self.noise(length)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.u8(..)).take(length).collect()
    }

    /// A topic of the registered device's.
    fn topic(&self, kind: &str) -> String {
        format!("tenant/{}/device/{}/{kind}", self.device.tenant_id, self.device.device_id)
    }

    /// A message of the registered device's with these members besides those that make it valid.
    fn insider(&mut self, kind: &str, members: &str) -> Vec<u8> {
        let (topic, site, token) = (self.topic(kind), &self.device.site_id, token(1));
        let payload = format!(r#"{{"site_id":"{site}","provision_token":"{token}",{members}}}"#);
        format!(r#"{{"topic":"{topic}","payload":{payload}}}"#).into_bytes()
    }

    fn with_topic(&self, topic: &str) -> Vec<u8> {
        format!(r#"{{"topic":"{topic}","payload":{{"site_id":"site-1","metrics":{{"t":1}}}}}}"#).into_bytes()
    }

    /// The message of this number, and its lane.
    fn message(&mut self, shape: usize) -> Outgoing {
        let lane = match shape {
            0..44 => "telemetry",
            44..56 => "shadow",
            _ => "commands",
        };
        let mut body = match lane {
            "telemetry" => self.telemetry(shape),
            "shadow" => self.shadow(shape - 44),
            _ => self.command(shape - 56),
        };
        body.truncate(MOST);
        Outgoing::new(format!("{lane}.{}", self.device.tenant_id), body)
    }

    fn telemetry(&mut self, shape: usize) -> Vec<u8> {
        let numbers = |number: &str| (0..49).map(|n| format!(r#""m{n}":{number}"#)).collect::<Vec<_>>().join(",");
        match shape {
            0 => self.bytes(MOST),
            1 => Vec::new(),
            2 => vec![0; MOST],
            3 => b"[".repeat(MOST),
            4 | 5 => {
                let tenant = self.long();
                self.with_topic(&format!("tenant/{tenant}/device/d/telemetry"))
            }
            6 => {
                let id = self.long();
                self.with_topic(&format!("tenant/tenant-1/device/{id}/telemetry"))
            }
            7 => {
                let kind = self.noise(900_000);
                self.with_topic(&self.topic(&kind))
            }
            8 => {
                let rest = self.noise(900_000);
                self.with_topic(&format!("{}/{rest}", self.topic("telemetry")))
            }
            9 => self.with_topic("tenant/a\\u0000b/device/\\u0000/telemetry"),
            10 => self.with_topic("tenant/a\\ud800b/device/d/telemetry"),
            11 => self.with_topic(&"/".repeat(100_000)),
            12 => {
                let site = self.long();
                let topic = self.topic("telemetry");
                format!(r#"{{"topic":"{topic}","payload":{{"site_id":"{site}"}}}}"#).into_bytes()
            }
            13..=19 => self.insider("telemetry", &format!(r#""seq":{shape}"#)),
            20 => self.insider("forbidden", r#""seq":1"#),
            21 => self.insider("telemetry", r#""metrics":{"a":1e999999}"#),
            22 => self.insider("telemetry", &format!(r#""metrics":{{{}}}"#, numbers("1e131000"))),
            23 => self.insider("telemetry", &format!(r#""metrics":{{{}}}"#, numbers("-1e-16000"))),
            24 => self.insider("telemetry", &format!(r#""n":{}"#, "9".repeat(60_000))),
            25 => self.insider("telemetry", r#""ts":"9999-12-31T23:59:59Z""#),
            26 => self.insider("telemetry", r#""ts":"0001-01-01""#),
            27 => self.insider("telemetry", r#""ts":-99999999999"#),
            28 => {
                let note = self.noise(50_000);
                self.insider("telemetry", &format!(r#""note":"{note}""#))
            }
            29 => self.insider("telemetry", r#""note":"\u0000""#),
            30 => self.insider("telemetry", r#""note":"\ud800""#),
            31 => self.insider("telemetry", &format!(r#""note":{}1{}"#, "[".repeat(200_000), "]".repeat(200_000))),
            32 => self.insider("telemetry", &format!(r#""note":{}1{}"#, "{\"a\":".repeat(9_000), "}".repeat(9_000))),
            33 => {
                let key = self.noise(200_000);
                self.insider("telemetry", &format!(r#""metrics":{{"{key}":1}}"#))
            }
            34 => self.insider(
                "telemetry",
                &format!(
                    r#""metrics":{{{}}}"#,
                    (0..5_000).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(",")
                ),
            ),
            35 => self.insider("telemetry", r#""metrics":{"a":1},"metrics":[],"seq":null,"seq":{}"#),
            36 => self.insider("telemetry", r#""lat":1e400,"lng":"-0","version":{}"#),
            37 => self.insider("telemetry", r#""seq":9223372036854775807"#),
            38 => self.insider("telemetry", r#""seq":-9223372036854775808,"ts":99999999999999999"#),
            39 => {
                let mut message = self.insider("telemetry", r#""seq":1"#);
                for _ in 0..8 {
                    let at = self.random.usize(..message.len());
                    message[at] = self.random.u8(..);
                }
                message
            }
            40 => [b"\x1f\x8b\x08".to_vec(), self.bytes(10_000)].concat(),
            41 => self.insider("telemetry", r#""seq":1"#).into_iter().flat_map(|byte| [byte, 0]).collect(),
            42 => format!(r#"{{"topic":"{}","payload":"{}"}}"#, self.topic("telemetry"), "\\\"".repeat(MOST / 3))
                .into_bytes(),
            _ => {
                format!(r#"{{"topic":"{}","payload":null,"username":{}}}"#, self.topic("telemetry"), "[".repeat(50_000))
                    .into_bytes()
            }
        }
    }

    fn shadow(&mut self, shape: usize) -> Vec<u8> {
        let kind = "shadow/reported";
        match shape {
            0 => self.bytes(MOST),
            1 => self.insider(kind, r#""reported":{"a":1},"version":13"#),
            2 => self.insider(kind, r#""reported":{"a":1e999999},"version":1"#),
            3 => self.insider(kind, r#""reported":{"a":1},"version":9223372036854775807"#),
            4 => self.insider(kind, r#""reported":{"a":1},"version":-9223372036854775808"#),
            5 => self.insider(kind, r#""reported":{"\u0000":1},"version":1"#),
            6 => {
                let pad = self.noise(900_000);
                self.insider(kind, &format!(r#""reported":{{"pad":"{pad}"}},"version":2"#))
            }
            7 => self.insider(
                kind,
                &format!(r#""reported":{{"a":{}1{}}},"version":3"#, "[".repeat(5_000), "]".repeat(5_000)),
            ),
            8 => {
                let tenant = self.long();
                self.with_topic(&format!("tenant/{tenant}/device/d/{kind}"))
            }
            9 => self.with_topic(&self.topic("shadow")),
            10 => self.insider(kind, r#""reported":{"a":1},"version":1.5"#),
            _ => self.insider(kind, r#""reported":"x","version":"y""#),
        }
    }

    fn command(&mut self, shape: usize) -> Vec<u8> {
        let kind = "commands/ack";
        match shape {
            0 => self.bytes(MOST),
            1 => self.insider(kind, r#""command_id":"\u0000","status":"ok""#),
            2 => {
                let id = self.long();
                self.insider(kind, &format!(r#""command_id":"{id}","status":"ok""#))
            }
            3 => self.insider(kind, r#""command_id":"c-1","status":"ok","details":{"a":1e999999}"#),
            4 => self.insider(kind, r#""command_id":{},"status":[]"#),
            5 => {
                let id = self.long();
                self.with_topic(&format!("tenant/tenant-1/device/{id}/{kind}"))
            }
            6 => {
                let pad = self.noise(900_000);
                self.insider(kind, &format!(r#""command_id":"c-2","status":"ok","details":{{"pad":"{pad}"}}"#))
            }
            _ => self
                .insider(kind, &format!(r#""command_id":"c-3","details":{}{}"#, "[".repeat(9_000), "]".repeat(9_000))),
        }
    }
}

/// Publishes all shapes among good messages, and waits until every good one is stored; returns how long that took.
async fn round(world: &World, node: &mut Node, number: usize, devices: &[Device]) -> Duration {
    let seed = number as u64;
    let mut sender = UntrustedSender::new(seed);
    let mut messages: Vec<Outgoing> = Vec::new();
    for good in 0..GOOD {
        // Their sequence numbers begin beyond what the triggers have something against.
        messages.push(telemetry(&devices[good % devices.len()], (1_000 + number * GOOD + good) as u64));
        if good % (GOOD / SHAPES) == 0 && good / (GOOD / SHAPES) < SHAPES {
            messages.push(sender.message(good / (GOOD / SHAPES)));
        }
    }
    world.publish(messages).await;
    let began = Instant::now();
    let (from, to) = (1_000 + number * GOOD, 1_000 + (number + 1) * GOOD);
    let good =
        format!("raw_events WHERE accepted AND seq >= {from} AND seq < {to} AND payload ->> 'msg_type' = 'telemetry'");
    let what = format!("all good messages of round {number} to be stored");
    wait_for(&what, DEADLINE, async || world.database.count(&good).await == GOOD as u64).await;
    assert!(node.is_running(), "{}", node.log());
    began.elapsed()
}

async fn every_good_message_is_stored(node: impl FnOnce(NodeBuilder) -> NodeBuilder) {
    let world = World::on_the_platform(PLATFORM).await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 2)).collect();
    seed::devices(&world.database, &devices).await;
    // Rows may be large, too.
    seed::app_settings(&world.database, &[("MAX_PAYLOAD_BYTES", "65536")]).await;
    let mut node = start(node(world.node())).await;
    for number in 0..3 {
        let took = round(&world, &mut node, number, &devices).await;
        println!("round {number}: all good messages are stored {took:?} after the last was published");
    }
    // What PostgreSQL can't take now waits, and is all that does: seq 16 of every round.
    wait_for("everything else to be settled", 3 * DEADLINE, async || {
        let metrics = node.metrics().await;
        LANES.iter().map(|(_, lane)| metrics.count("ingest_in_flight", &[("consumer", lane)])).sum::<u64>() <= 3
    })
    .await;
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
    assert_eq!(node.ready_status().await, Some(200), "{}", node.log());
    assert_eq!(world.database.count("raw_events WHERE seq >= 13 AND seq <= 19").await, 0);
    assert_eq!(
        world.database.count("quarantine_events WHERE reason = 'ROW_REFUSED' AND detail LIKE '%(P0001)'").await,
        6
    );
    // To drop the trigger takes locks in another order than rows do.
    let forgiving =
        "CREATE OR REPLACE FUNCTION checker() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$";
    world.database.execute(forgiving).await;
    for lane in LANES {
        world.wait_settled(lane, 3 * DEADLINE).await;
    }
    assert_eq!(world.database.count("raw_events WHERE seq = 16").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_good_message_among_those_of_unknown_senders_is_stored() {
    every_good_message_is_stored(|node| node).await;
}
