//! MQTT brokers that are away, forget sessions or drop messages.

use ingest_kit::{Mosquitto, MqttMessage, publish_mqtt, wait_for};

use super::doctor;
use crate::world::World;
use crate::world::{DEADLINE, drain, node, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_or_has_dropped_messages_is_named() {
    let away = doctor(node().env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", 9)).await;
    away.assert_names(&[("ERR", "mqtt", "Connection refused")]);

    // Queues of one message, and figures every second.
    let config = "allow_anonymous true\nmax_queued_messages 1\nmax_inflight_messages 1\nsys_interval 1\n";
    let broker = Mosquitto::start_with_file(&format!("listener {{port}} 127.0.0.1\n{config}"));
    let world = World::new().await;
    let run = world.start_node().await;
    let with_broker = || world.node().env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", broker.port());
    let gateway = || with_broker().arguments(&["gateway"]).env("INGEST_HTTP_BIND", "127.0.0.1:0");
    drain(start(gateway()).await).await;
    let message = || MqttMessage::new("tenant/a/device/d/telemetry", "{}");
    publish_mqtt(broker.port(), None, (0..50).map(|_| message())).await;
    wait_for("the broker's figures", DEADLINE, async || {
        let report = doctor(with_broker()).await;
        report.found.iter().any(|one| one.about == "mqtt queues" && one.level == "WARN")
    })
    .await;
    let report = doctor(with_broker()).await;
    report.assert_names(&[("WARN", "mqtt queues", "the broker has dropped ")]);
    assert!(report.wrong("mqtt session").is_empty() && report.wrong("mqtt subscription").is_empty());
    // Nothing of the gateway's was touched.
    let gateway = start(gateway()).await;
    gateway.wait_logged("session_present: true", 1).await;
    wait_for("what the broker has kept", DEADLINE, async || {
        gateway.metrics().await.count("ingest_gateway_mqtt_received_total", &[]) >= 1
    })
    .await;
    drain(gateway).await;
    drain(run).await;
}
