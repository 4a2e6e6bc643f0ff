//! Gateway and broker are killed at their worst moments.

use ingest_kit::envelope::device;
use ingest_kit::{Mosquitto, wait_for};

use super::{Bridge, on, telemetry};
use crate::soak;
use crate::world::{DEADLINE, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_twenty_times_loses_and_doubles_nothing() {
    let messages = soak::messages();
    // A broker that writes nothing down while it runs: it is not killed.
    let broker = Mosquitto::start_configured("allow_anonymous true\nmax_inflight_messages 200\n");
    let bridge = Bridge::with_broker(broker).await;
    let node = bridge.world.start_node().await;
    // The session is there before anything is published.
    drain(start(bridge.gateway()).await).await;
    bridge.publish(telemetry(0..messages)).await;
    for round in 0..soak::KILLS {
        // Between PUBLISH and publication, or between PubAck and PUBACK: the last one, so that a message surely comes again after it.
        let place = if round % 2 == 0 { "mqtt-received" } else { "mqtt-stored" };
        // So that the last one finds something.
        let failpoint = format!("{place}=kill@{}", messages / (soak::KILLS + 2) + round);
        let mut gateway = bridge.gateway().env("INGEST_FAILPOINTS", failpoint).start();
        assert_eq!(gateway.wait_exit(soak::deadline()).await, None, "it ends otherwise:\n{}", gateway.log());
    }
    let gateway = start(bridge.gateway()).await;
    bridge.assert_stored_once(messages).await;
    wait_for("a message to have come a second time", DEADLINE, async || {
        super::counted(&gateway, "ingest_gateway_mqtt_published_total", "result", "duplicate").await > 0
    })
    .await;
    drain(gateway).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_has_kept_what_it_acknowledged_and_nothing_is_stored_twice() {
    let mut bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let mut gateway = start(bridge.gateway()).await;
    bridge.publish(telemetry(0..300)).await;
    bridge.wait_for_rows(300).await;
    // What the gateway does not take is in the broker alone.
    gateway.pause();
    bridge.publish(telemetry(300..600)).await;
    // Mosquitto acknowledges before it saves, and saves the last change with the next.
    wait_for("the broker to have saved", DEADLINE, async || {
        bridge.publish([on(&device(0, 2), "commands", "{}")]).await;
        bridge.broker.has_saved("\"seq\":599,")
    })
    .await;
    bridge.broker.kill();
    gateway.resume();
    wait_for("the gateway to notice", DEADLINE, async || gateway.ready_status().await == Some(503)).await;
    bridge.broker.start_again();
    gateway.wait_ready(DEADLINE).await;
    bridge.publish(telemetry(600..700)).await;
    bridge.assert_stored_once(700).await;
    let metrics = gateway.metrics().await;
    assert!(metrics.count("ingest_gateway_mqtt_reconnects_total", &[]) >= 1, "{}", gateway.log());
    assert_eq!(metrics.count("ingest_gateway_mqtt_sessions_lost_total", &[]), 0, "{}", gateway.log());
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", gateway.log());
    drain(gateway).await;
    drain(node).await;
}
