//! What becomes of each kind of message.

use std::collections::BTreeMap;

use ingest_kit::envelope::{device, payload, telemetry};
use ingest_kit::seed::{self, Device};
use ingest_kit::{MqttDevice, Node, wait_for};
use serde_json::{Value, json};

use super::{LANE, message, mqtt_world, node, publish, topic, wait_settled};
use crate::consumer::wait_ready_shows;
use crate::doctor::doctor;
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain};

/// Rejections as they are counted: tenant and reason.
async fn counted(world: &World) -> BTreeMap<(String, String), i64> {
    let counters = "SELECT tenant_id, reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1, 2";
    world.database.query(counters, &[]).await.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

fn count(tenant: &str, reason: &str, times: i64) -> ((String, String), i64) {
    ((tenant.to_owned(), reason.to_owned()), times)
}

async fn shows_nothing_of_the_lane(node: &Node) {
    for path in ["/ready", "/lag", "/stats", "/metrics"] {
        let answer = node.get(path).await.expect("an answer");
        let is_shown = ["ingest-mqtt", "nats_mqtt", "MQTT_msgs"].iter().any(|part| answer.body.contains(part));
        assert!(!is_shown, "{path}: {}", answer.body);
    }
}

/// A telemetry message with another token than the device's.
fn with_a_wrong_token(device: &Device, seq: u64) -> (String, Vec<u8>) {
    let mut payload = payload(device, seq);
    payload["provision_token"] = json!("guessed");
    message(device, "telemetry", &payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_of_an_mqtt_client_is_stored_applied_quarantined_or_ignored_by_its_topic() {
    let (world, port) = mqtt_world().await;
    let (one, dotted) = (device(0, 1), Device::active("tenant-0", "dev.1", "tok-dotted"));
    seed::devices(&world.database, &[one.clone(), dotted.clone()]).await;
    let command = "INSERT INTO device_commands (tenant_id, command_id, device_id, status)
                   VALUES ('tenant-0', 'c-1', 'dev-0000', 'queued')";
    world.database.execute(command).await;

    let without = world.start_node().await;
    wait_for("the figures", DEADLINE, async || without.get("/lag").await.is_some_and(|lag| lag.status == 200)).await;
    shows_nothing_of_the_lane(&without).await;
    drain(without).await;

    let report = doctor(node(&world)).await;
    report.assert_names(&[
        ("ERR", "stream $MQTT_msgs", "is missing"),
        ("WARN", "consumer ingest-mqtt", "missing: until"),
    ]);
    let mut node = node(&world).start();
    wait_ready_shows(&node, 503, "ingest-mqtt: stream $MQTT_msgs is missing: nats-server makes it when").await;
    publish(port, []);
    node.wait_ready(DEADLINE).await;
    let report = doctor(super::node(&world)).await;
    assert!(report.found("stream $MQTT_msgs").contains("QoS 0 is not kept"), "{report:?}");
    assert_eq!((report.wrong("stream $MQTT").len(), report.wrong("consumer ingest-mqtt").len()), (0, 0), "{report:?}");

    tokio::task::block_in_place(|| {
        let mut device = MqttDevice::connect(port, "careless", None).expect("a connection");
        let (topic, payload) = message(&one, "telemetry", &payload(&one, 100));
        device.publish_at_most_once(&topic, &payload).expect("it is sent");
        // The server takes the messages of a connection in order.
        device.publish([message(&one, "telemetry", &self::payload(&one, 1))], |_| ()).expect("it is stored");
    });
    let report = json!({"reported": {"mode": "eco"}, "version": 5});
    let ack = json!({"command_id": "c-1", "status": "ok"});
    publish(
        port,
        [
            message(&one, "alarm", &payload(&one, 2)),
            message(&one, "shadow/reported", &report),
            message(&one, "commands/ack", &ack),
            // What the platform itself publishes to devices.
            message(&one, "commands", &json!({"command_id": "c-2"})),
            message(&one, "shadow/desired", &json!({"desired": {}})),
            // What other applications say to each other over the same server.
            ("plant/7/doors".to_owned(), b"open".to_vec()),
            ("tenant/tenant-0/device/dev-0000".to_owned(), b"{}".to_vec()),
            ("plant/*/doors".to_owned(), b"open".to_vec()),
            // Garbage.
            (topic(&one, "telemetry"), b"nonsense".to_vec()),
            (topic(&one, "telemetry"), b"\xff\x00\xfe".to_vec()),
            (topic(&one, "shadow/reported"), b"{\"reported\":".to_vec()),
            (topic(&one, "telemetry"), vec![b'x'; 9_000]),
            with_a_wrong_token(&one, 3),
            ("tenant/*/device/dev-0000/telemetry".to_owned(), b"{}".to_vec()),
            ("tenant//device/dev-0000/telemetry".to_owned(), b"{}".to_vec()),
            (topic(&one, "shadow/reported/x"), b"{}".to_vec()),
            (topic(&one, "commands/7"), b"{}".to_vec()),
        ],
    );
    wait_settled(&world).await;

    let rows = "SELECT seq, topic, msg_type, stream FROM raw_events ORDER BY seq";
    let rows: Vec<(i64, String, String, String)> = world
        .database
        .query(rows, &[])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    let row = |seq, kind: &str| (seq, topic(&one, kind), kind.to_owned(), LANE.0.to_owned());
    assert_eq!(rows, [row(1, "telemetry"), row(2, "alarm")], "what was sent with QoS 0 is not kept");
    assert_eq!(world.database.count("device_state WHERE reported_version = 5").await, 1);
    assert_eq!(world.database.count("device_commands WHERE command_id = 'c-1' AND status = 'delivered'").await, 1);
    let rejected = [
        count("tenant-0", "INVALID_PAYLOAD", 3),
        count("tenant-0", "PAYLOAD_TOO_LARGE", 1),
        count("tenant-0", "TOKEN_INVALID", 1),
        count("unknown", "BAD_TOPIC_FORMAT", 4),
    ];
    assert_eq!(counted(&world).await, BTreeMap::from(rejected));
    let kept = "quarantine_events WHERE stream = '$MQTT_msgs' AND tenant_id = 'tenant-0' AND device_id = 'dev-0000'
                AND msg_type = 'telemetry' AND raw IN ('nonsense', '\\xff00fe'::bytea)";
    assert_eq!(world.database.count(kept).await, 2);
    wait_for("the point", DEADLINE, async || world.influx.point_count(&database("tenant-0")) == 1).await;

    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_nats_mqtt_ignored_total", &[]), 5);
    assert_eq!(metrics.count("ingest_nats_mqtt_messages_total", &[("qos", "1")]), 18);
    assert_eq!(metrics.count("ingest_deliveries_settled_total", &[("consumer", LANE.1), ("disposition", "ack")]), 18);
    let stats: Value = node.stats().await;
    assert_eq!(stats["consumers"]["ingest-mqtt"]["in_flight"], 0, "{stats}");
    let lag = node.get("/lag").await.expect("an answer").body;
    assert!(lag.contains("ingest-mqtt"), "{lag}");

    replay_stores_it_under_its_own_key(&world).await;
    dots_are_kept(&world, port, &dotted).await;
    the_rate_limit_holds(&world, &node, port, &one).await;
    drain(node).await;
}

/// An operator's replay goes through the lane of its type, and its row has the key of the original.
async fn replay_stores_it_under_its_own_key(world: &World) {
    let arguments = ["quarantine", "replay", "--trust", "--reason", "TOKEN_INVALID"];
    let finished = world.node().arguments(&arguments).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    world.wait_settled(LANES[0], DEADLINE).await;
    let originals = "raw_events JOIN quarantine_events USING (received_at, stream, stream_seq)
                     WHERE accepted AND stream = '$MQTT_msgs' AND raw_events.seq = 3";
    assert_eq!(world.database.count(originals).await, 1);
}

async fn the_rate_limit_holds(world: &World, node: &Node, port: u16, device: &Device) {
    seed::app_settings(&world.database, &[("RATE_LIMIT_RPS", "0.001"), ("RATE_LIMIT_BURST", "3")]).await;
    let is_in_force = async || node.log().contains("rate_limit_rps: 0.001, rate_limit_burst: 3");
    wait_for("the limit to be in force", DEADLINE, is_in_force).await;
    publish(port, (10..15).map(|seq| message(device, "telemetry", &payload(device, seq))));
    wait_settled(world).await;
    assert_eq!(world.database.count("raw_events WHERE seq BETWEEN 10 AND 14").await, 3);
    assert_eq!(counted(world).await.get(&("tenant-0".to_owned(), "RATE_LIMITED".to_owned())), Some(&2));
}

/// Servers before 2.10 close the connection of a client that publishes to a topic with a dot.
async fn dots_are_kept(world: &World, port: u16, device: &Device) {
    let version = world.nats.connect().await.server_info().version;
    let numbers: Vec<u32> = version.split('.').take(2).filter_map(|number| number.parse().ok()).collect();
    if numbers >= vec![2, 10] {
        publish(port, [message(device, "telemetry", &payload(device, 4))]);
        wait_settled(world).await;
        let row = format!("raw_events WHERE topic = '{}'", topic(device, "telemetry"));
        assert_eq!(world.database.count(&row).await, 1);
        // The same message of an ordinary producer is one of its own.
        world.publish([telemetry(device, 4)]).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        assert_eq!(world.database.count(&row).await, 2);
    } else {
        let sent = tokio::task::block_in_place(|| {
            let mut client = MqttDevice::connect(port, "dotted", None).expect("a connection");
            client.publish([message(device, "telemetry", &payload(device, 4))], |_| ())
        });
        assert!(sent.is_err(), "nats-server {version} takes a dot");
    }
}
