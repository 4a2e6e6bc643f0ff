//! What devices publish: rows and state; what nobody should publish: the quarantine, counted.

use std::collections::BTreeMap;

use async_nats::jetstream::stream::Config;
use ingest_kit::envelope::device;
use ingest_kit::seed::Command;
use ingest_kit::{MqttMessage, seed, wait_for};
use serde_json::json;

use super::{Bridge, counted, on, telemetry, with};
use crate::world::{DEADLINE, LANES, drain, start};

const DROPPED: &str = "ingest_gateway_mqtt_dropped_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_devices_publish_is_stored_and_what_the_platform_publishes_is_not_taken_in_again() {
    let bridge = Bridge::new().await;
    let mut commanded = device(100, 2);
    commanded.commands = vec![Command { command_id: "c-1".to_owned(), command_type: "reboot".to_owned() }];
    seed::devices(&bridge.world.database, &[commanded.clone()]).await;
    let node = bridge.world.start_node().await;
    let gateway = start(bridge.gateway()).await;

    bridge.publish(telemetry(0..20)).await;
    bridge.publish(telemetry(20..21).into_iter().map(MqttMessage::at_most_once)).await;
    // To a subscription that stands a retained message comes as any other.
    bridge.publish(telemetry(21..22).into_iter().map(MqttMessage::retained)).await;
    bridge
        .publish([
            on(&commanded, "shadow/reported", json!({ "reported": { "on": true }, "version": 7 }).to_string()),
            on(&commanded, "commands/ack", json!({ "command_id": "c-1", "status": "ok" }).to_string()),
            on(&commanded, "commands", json!({ "command_id": "c-2" }).to_string()),
            on(&commanded, "shadow/desired", "{}"),
        ])
        .await;
    bridge.assert_stored_once(22).await;
    for lane in LANES {
        bridge.world.wait_settled(lane, DEADLINE).await;
    }
    let database = &bridge.world.database;
    wait_for("shadow and command", DEADLINE, async || {
        database.count("device_state WHERE reported_version = 7").await == 1
            && database.count("device_commands WHERE command_id = 'c-1' AND acked_at IS NOT NULL").await == 1
    })
    .await;
    wait_for("every message to be acknowledged", DEADLINE, async || bridge.pubacks("ingest-gateway") == 25).await;
    assert_eq!(counted(&gateway, DROPPED, "reason", "own").await, 2);
    assert_eq!(counted(&gateway, "ingest_gateway_mqtt_received_total", "qos", "0").await, 1);
    assert_eq!(counted(&gateway, "ingest_gateway_mqtt_received_total", "qos", "1").await, 25);
    assert_eq!(database.count("quarantine_events").await, 0);
    drain(gateway).await;

    // With the next subscription the broker repeats what it retains, which was stored when it was published.
    let gateway = start(bridge.gateway()).await;
    wait_for("the retained copy", DEADLINE, async || counted(&gateway, DROPPED, "reason", "retained").await == 1).await;
    gateway.wait_logged("session_present: true", 1).await;
    bridge.publish(telemetry(22..23)).await;
    bridge.assert_stored_once(23).await;
    drain(gateway).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_of_every_kind_is_quarantined_with_its_code_and_ends_nothing() {
    let bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let gateway = start(bridge.gateway()).await;
    let device = device(0, 2);
    let good = |number: u64| with(number, "seq", json!(number));
    let binary = [good(1).as_bytes(), b"\xff\xfe"].concat();
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("INVALID_PAYLOAD", "telemetry", Vec::new()),
        ("INVALID_PAYLOAD", "telemetry", b"on".to_vec()),
        ("INVALID_PAYLOAD", "telemetry", b"5".to_vec()),
        ("INVALID_PAYLOAD", "telemetry", b"[1]".to_vec()),
        ("INVALID_PAYLOAD", "telemetry", b"\"abc\"".to_vec()),
        ("INVALID_PAYLOAD", "telemetry", b"{\"a\":NaN}".to_vec()),
        ("INVALID_PAYLOAD", "telemetry", good(1).replacen('}', "", 1).into_bytes()),
        ("INVALID_PAYLOAD", "telemetry", binary),
        ("INVALID_PAYLOAD", "telemetry", vec![0; 100]),
        ("INVALID_PAYLOAD", "telemetry", good(1).encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("INVALID_PAYLOAD", "shadow/reported", b"on".to_vec()),
        ("INVALID_PAYLOAD", "commands/ack", b"\xff".to_vec()),
        ("MISSING_SITE_ID", "telemetry", b"null".to_vec()),
        ("PAYLOAD_TOO_LARGE", "telemetry", with(1, "pad", json!("x".repeat(9_000))).into_bytes()),
        // More than NATS takes, and larger still once it is quoted.
        ("PAYLOAD_TOO_LARGE", "telemetry", with(1, "pad", json!("x".repeat(3_000_000))).into_bytes()),
        ("PAYLOAD_TOO_LARGE", "telemetry", vec![1; 900_000]),
        ("PAYLOAD_TOO_LARGE", "telemetry", vec![0xff; 900_000]),
        ("BAD_TOPIC_FORMAT", "shadow/other", b"{}".to_vec()),
        ("BAD_TOPIC_FORMAT", "commands/", b"{}".to_vec()),
    ];
    let mut messages: Vec<MqttMessage> = cases.iter().map(|(_, kind, body)| on(&device, kind, body.clone())).collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, ..) in &cases {
        *expected.entry((*reason).to_owned()).or_default() += 1;
    }
    for (reason, topic) in [
        ("BAD_TOPIC_FORMAT", "tenant/tenant-0/device/dev-0000".to_owned()),
        ("BAD_TOPIC_FORMAT", "tenant//device/dev-0000/telemetry".to_owned()),
        ("BAD_TOPIC_FORMAT", format!("tenant/{}/device/d/telemetry", "t".repeat(300))),
        ("BAD_TOPIC_FORMAT", format!("tenant/t/device/d/telemetry/{}", "é".repeat(20_000))),
        ("UNREGISTERED_DEVICE", "tenant/>.*/device/a b%/telemetry".to_owned()),
    ] {
        *expected.entry(reason.to_owned()).or_default() += 1;
        messages.push(MqttMessage::new(topic, with(1, "tenant_id", json!(""))));
    }
    bridge.publish(messages).await;
    bridge.publish(telemetry(0..1)).await;
    bridge.assert_stored_once(1).await;
    let total = expected.values().sum::<u64>();
    let database = &bridge.world.database;
    let reasons = "SELECT reason, count(*) FROM quarantine_events GROUP BY 1";
    wait_for("the quarantine", DEADLINE, async || database.count("quarantine_events").await >= total).await;
    let found: BTreeMap<String, u64> =
        database.query(reasons, &[]).await.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect();
    assert_eq!(found, expected);
    let counters = "SELECT sum(cnt)::bigint FROM quarantine_counters_minute";
    assert_eq!(database.query(counters, &[]).await[0].get::<_, i64>(0) as u64, total);
    assert_eq!(database.occurrences_of("tok-secret-0").await, [], "a token is kept");
    wait_for("every PUBACK", DEADLINE, async || bridge.pubacks("ingest-gateway") as u64 == total + 1).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("ingest_gateway_mqtt_reconnects_total", &[]), 0, "{}", gateway.log());
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", gateway.log());
    drain(gateway).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_its_stream_takes_is_not_lost_but_rejected_by_the_pipeline() {
    let bridge = Bridge::new().await;
    let small = Config {
        name: "TELEMETRY".to_owned(),
        subjects: vec!["telemetry.>".to_owned()],
        max_message_size: 2_000,
        ..Config::default()
    };
    bridge.world.jetstream.create_stream(small).await.unwrap();
    let node = bridge.world.start_node().await;
    let gateway = start(bridge.gateway()).await;
    bridge.publish([on(&device(0, 2), "telemetry", with(0, "pad", json!("x".repeat(4_000))))]).await;
    bridge.publish(telemetry(1..2)).await;
    bridge.assert_stored_once(1).await;
    let kept = "quarantine_events WHERE reason = 'INVALID_PAYLOAD'";
    wait_for("the rejection", DEADLINE, async || bridge.world.database.count(kept).await == 1).await;
    assert_eq!(counted(&gateway, DROPPED, "reason", "too_large").await, 0);
    drain(gateway).await;
    drain(node).await;
}
