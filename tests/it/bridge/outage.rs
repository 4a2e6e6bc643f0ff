//! NATS does not answer: the broker keeps what comes, and the gateway no more than its window.

use std::time::Instant;

use ingest_kit::procfs::rss_bytes;
use ingest_kit::{Mosquitto, wait_for};
use serde_json::json;

use super::{Bridge, counted, on, telemetry};
use crate::soak;
use crate::world::{DEADLINE, drain, start};
use ingest_kit::envelope::{device, payload};

const PUBLISHED: &str = "ingest_gateway_mqtt_published_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_frozen_nothing_is_acknowledged_and_afterwards_everything() {
    let mut bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let mut gateway = start(bridge.gateway()).await;
    bridge.publish(telemetry(0..50)).await;
    bridge.assert_stored_once(50).await;
    wait_for("their PUBACKs", DEADLINE, async || bridge.pubacks("ingest-gateway") == 50).await;

    bridge.world.nats.pause();
    let since = Instant::now();
    bridge.publish(telemetry(50..500)).await;
    wait_for("the connection to be given up", DEADLINE, async || {
        gateway.get("/ready").await.is_some_and(|answer| answer.status == 503 && answer.body.contains("mqtt: "))
    })
    .await;
    wait_for("the end of the outage", 2 * soak::frozen() + DEADLINE, async || since.elapsed() >= soak::frozen()).await;
    assert_eq!(bridge.pubacks("ingest-gateway"), 50, "acknowledged and not stored");
    assert_eq!(counted(&gateway, PUBLISHED, "result", "stored").await, 50);
    bridge.world.nats.resume();
    gateway.wait_ready(2 * DEADLINE).await;
    bridge.assert_stored_once(500).await;
    wait_for("every PUBACK", DEADLINE, async || bridge.pubacks("ingest-gateway") == 500).await;

    // A drain that meets a frozen server gives up what is under way, to the broker, which still has it.
    bridge.world.nats.pause();
    bridge.publish(telemetry(500..520)).await;
    drain(gateway).await;
    assert_eq!(bridge.pubacks("ingest-gateway"), 500);
    bridge.world.nats.resume();
    let gateway = start(bridge.gateway()).await;
    bridge.assert_stored_once(520).await;
    drain(gateway).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_at_a_broker_without_bounds_stays_there_while_nats_is_silent() {
    const WINDOW: u64 = 1_048_576;
    const MESSAGES: u64 = 6_000;
    let broker = Mosquitto::start_configured("allow_anonymous true\nmax_inflight_messages 0\n");
    let mut bridge = Bridge::with_broker(broker).await;
    let node = bridge.world.start_node().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, format!("[gateway]\nwindow_bytes = {WINDOW}\n")).expect("a file");
    let arguments = ["--config", file.to_str().expect("UTF-8"), "gateway"];
    let mut gateway = start(bridge.gateway().arguments(&arguments)).await;
    let large = |number: u64| {
        let device = device(number as usize % super::DEVICES, 2);
        let mut payload = payload(&device, number);
        payload["pad"] = json!("x".repeat(7_000));
        on(&device, "telemetry", payload.to_string())
    };
    bridge.publish((0..100).map(large)).await;
    bridge.assert_stored_once(100).await;
    let before = rss_bytes(gateway.pid()).expect("its memory");

    bridge.world.nats.pause();
    bridge.publish((100..MESSAGES).map(large)).await;
    let held = async || gateway.metrics().await.get("ingest_gateway_window_bytes", &[]).unwrap_or_default() as u64;
    wait_for("a full window", DEADLINE, async || held().await > WINDOW / 4).await;
    assert!(held().await <= WINDOW / 2, "half the window is for others");
    wait_for("the connection to be given up", DEADLINE, async || gateway.ready_status().await == Some(503)).await;
    let received = counted(&gateway, "ingest_gateway_mqtt_received_total", "qos", "1").await;
    assert!(received < MESSAGES / 2, "{received} messages are read and not stored");
    let grown = rss_bytes(gateway.pid()).expect("its memory").saturating_sub(before);
    assert!(grown < 16 * WINDOW, "{grown} bytes more than before, of {} that wait", MESSAGES * 7_000);
    bridge.world.nats.resume();
    gateway.wait_ready(2 * DEADLINE).await;
    bridge.assert_stored_once(MESSAGES).await;
    drain(gateway).await;
    drain(node).await;
}
