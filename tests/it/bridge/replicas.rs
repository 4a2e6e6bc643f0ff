//! Several gateways at one broker: as a group, each with an id of its own; and by mistake, with the same.

use ingest_kit::wait_for;

use super::{Bridge, counted, telemetry};
use crate::world::{DEADLINE, drain, start};

const RECEIVED: &str = "ingest_gateway_mqtt_received_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_gateways_in_a_group_the_one_that_died_gets_its_share_when_it_is_back() {
    let bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let member = |ordinal: usize| {
        bridge.gateway().env("MQTT_SHARE_GROUP", "ingest").env("MQTT_CLIENT_ID", format!("gateway-{ordinal}"))
    };
    let first = start(member(0)).await;
    let mut second = start(member(1)).await;
    bridge.publish(telemetry(0..200)).await;
    bridge.assert_stored_once(200).await;
    for gateway in [&first, &second] {
        assert!(counted(gateway, RECEIVED, "qos", "1").await > 0, "one of them gets nothing");
    }

    second.sigkill();
    bridge.publish(telemetry(200..600)).await;
    // The broker gives each message to one of them when it is published.
    wait_for("the share of the first", DEADLINE, async || bridge.world.database.count("raw_events").await >= 300).await;
    assert!(bridge.world.database.count("raw_events").await < 600, "the share of the second came to the first");
    let second = start(member(1)).await;
    bridge.assert_stored_once(600).await;
    second.wait_logged("session_present: true", 1).await;
    assert!(counted(&second, RECEIVED, "qos", "1").await > 0);
    drain(first).await;
    drain(second).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_with_the_same_id_takes_over_and_nothing_is_lost_or_doubled() {
    let bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let first = start(bridge.gateway()).await;
    bridge.publish(telemetry(0..100)).await;
    let second = bridge.gateway().start();
    first.wait_logged("another client has the id ingest-gateway", 1).await;
    bridge.publish(telemetry(100..400)).await;
    drain(first).await;
    let mut second = second;
    second.wait_ready(DEADLINE).await;
    bridge.publish(telemetry(400..500)).await;
    bridge.assert_stored_once(500).await;
    drain(second).await;
    drain(node).await;
}
